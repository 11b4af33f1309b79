"""What calls have shown of a dependency, for readiness: it says what was seen, and no more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Seen:
    """Whether the dependency was asked, and its `problem`, empty where it answered well."""

    asked: bool
    problem: str = ""


UNASKED: Final = Seen(asked=False)
WELL: Final = Seen(asked=True)


def worst_seen(all_seen: Iterable[Seen]) -> Seen:
    """Return a problem where any process has one, else a good answer where any has one."""
    return max(all_seen, key=lambda each: (bool(each.problem), each.asked), default=UNASKED)
