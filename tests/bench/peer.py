"""What every system in the comparison is: a name, and a way to run it before the stubs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.stubs import Stubs
from tests.bench.work import PATH


@dataclass(frozen=True, slots=True)
class Running:
    """A peer that serves: its port, its process, and those that it asks on the same core."""

    port: int
    pid: int
    others: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Peer:
    """A system. `missing` says what it lacks here; `path` and `fields` are what it must be sent.

    With `bodiless` it is a GET.
    """

    name: str
    title: str
    run: Callable[[Stubs, Path], contextlib.AbstractContextManager[Running]]
    missing: str | None = None
    path: str = PATH
    fields: tuple[tuple[str, str], ...] = ()
    bodiless: bool = False
