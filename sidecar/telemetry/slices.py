"""Long work of many steps on the event loop: one slice of them a turn."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Final

from sidecar.domain.turns import turns

SLICE: Final = 100
"""Steps of one slice, such as the samples of a page: about 0.3 ms."""


async def in_slices(steps: Iterable[object]) -> None:
    """Run all `steps`, in turns with the other long work of this loop."""
    await turns().run(_sliced(steps))


def _sliced(steps: Iterable[object]) -> Generator[None, None, None]:
    for done, _ in enumerate(steps, 1):
        if done % SLICE == 0:
            yield
