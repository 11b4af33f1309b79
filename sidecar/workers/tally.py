"""What all workers have counted, the ones that are gone included: it never goes backwards."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from sidecar.telemetry.snapshot import Snapshot, lasting, merge_in_slices


class Tally:
    """The counts of workers that have ended, to be added to those of the ones that serve."""

    def __init__(self) -> None:
        self._counted: list[Snapshot] = []
        self._left: dict[int, list[Snapshot]] = {}
        self._compacting = asyncio.Lock()

    def parts(self, serving: Iterable[Iterable[Snapshot]]) -> Iterator[Snapshot]:
        """Give the parts of the sum, as they are now."""
        now = [part for parts in serving for part in parts]
        yield from (*self._counted, *(part for left in self._left.values() for part in left), *now)

    def retire(self, index: int, counts: list[Snapshot], *, with_files: bool) -> None:
        """Keep what a worker that has ended had counted.

        `with_files` keeps the gauges of what it left in its files, until `replaced`.
        """
        self._left[index] = [
            *self._left.get(index, ()), *(lasting(part, with_files=with_files) for part in counts),
        ]  # fmt: skip

    async def replaced(self, index: int) -> None:
        """Drop the gauges of a worker whose successor serves; its counts stay."""
        left = self._left.pop(index, [])
        self._counted.extend(lasting(part, with_files=False) for part in left)
        async with self._compacting:
            before = list(self._counted)
            self._counted[: len(before)] = [await merge_in_slices(before)]
