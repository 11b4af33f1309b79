"""The bytes of request bodies that this process holds, under one bound.

What does not fit is refused when it is new: a body that was admitted to be read has its whole
length reserved, and is never cut for another one.
"""

from __future__ import annotations

from typing import Final

DEFAULT: Final = 128 * 1024 * 1024
"""Where the process has no memory limit that it could be derived from."""


class BodyMemory:
    """Counts bytes against `limit`.

    A holder (an org) may reserve only as much as stays free for the others afterwards: one alone
    gets half, and a second one always finds something.
    """

    __slots__ = ("_held_by", "limit", "used")

    def __init__(self, limit: int = DEFAULT) -> None:
        self.limit = limit
        self.used = 0
        self._held_by: dict[str, int] = {}

    @property
    def is_full(self) -> bool:
        """Whether a new body is refused."""
        return self.used >= self.limit

    def reserve(self, size: int, holder: str) -> bool:
        """Count `size` more bytes if they fit; an empty `holder` has no bound of its own."""
        free = self.limit - self.used - size
        if free < 0 or (holder and self._held_by.get(holder, 0) + size > free):
            return False
        self.add(size, holder)
        return True

    def add(self, size: int, holder: str) -> None:
        """Count `size` more bytes, which are here already; fewer where it is negative."""
        self.used += size
        if holder:
            left = self._held_by.get(holder, 0) + size
            if left:
                self._held_by[holder] = left
            else:
                self._held_by.pop(holder, None)
