"""A process's part of what is set for the whole sidecar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from typing_extensions import override


@dataclass(frozen=True, slots=True)
class Share:
    """Which part of what is set for the whole sidecar is this process's: number `index` of `of`."""

    index: int
    of: int

    def part(self, units: int) -> int:
        """Return this process's part of `units`; the parts of all processes add up to them."""
        return units // self.of + (self.index < units % self.of)

    @override
    def __reduce__(self) -> tuple[type[Share], tuple[object, ...]]:
        # Compiled, it has no way of its own to another process.
        return Share, (self.index, self.of)


ALONE: Final = Share(0, 1)
"""The share of a sidecar that is one process."""
