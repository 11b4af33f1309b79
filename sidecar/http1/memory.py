"""What was worked out from bytes that peers send, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

LONGEST_KEPT: Final = 8192
"""Bytes of a line or field that is kept; a longer one is worked out each time."""

ENTRY_BYTES: Final = 256
"""What the objects and the table around an entry take, about."""

Key = TypeVar("Key")
Value = TypeVar("Value")


class Memory(dict[Key, Value]):
    """A table that works out what it does not know yet; `map(memory.__getitem__, keys)` is all C.

    When it is full it starts again: what is in use comes back with the next heads.
    """

    __slots__ = ("_capacity", "_left", "_size_of", "_work_out")

    def __init__(
        self,
        work_out: Callable[[Key], Value],
        size_of: Callable[[Key, Value], int],
        capacity: int,
    ) -> None:
        """Keep what `work_out` returns; `size_of` is how many bytes of the peer are in an entry.

        0 where the entry is not to be kept.
        """
        super().__init__()
        self._work_out = work_out
        self._size_of = size_of
        self._capacity = self._left = capacity

    def __missing__(self, key: Key) -> Value:
        value = self._work_out(key)
        size = self._size_of(key, value)
        if 0 < size <= LONGEST_KEPT:
            size += ENTRY_BYTES
            if size > self._left:
                self.clear()
                self._left = self._capacity
            self._left -= size
            self[key] = value
        return value
