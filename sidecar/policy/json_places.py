"""The places in a JSON document that pointers lead to or through."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Final

from sidecar.policy.json_grammar import runs_beside

_LONGEST_ESCAPE: Final = 12
"""Bytes of one character as two escapes: `\\ud83d\\ude00`."""

INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")


class PointerPlace:
    """A place that pointers lead to or through. `ends`: those that end here; `all`: every one."""

    def __init__(self, pointers: Iterable[tuple[int, Sequence[str]]]) -> None:
        pointers = tuple(pointers)
        self.all: Final = tuple(number for number, _ in pointers)
        self.ends: Final = tuple(number for number, tokens in pointers if not tokens)
        below: dict[str, list[tuple[int, Sequence[str]]]] = {}
        for number, tokens in pointers:
            if tokens:
                below.setdefault(tokens[0], []).append((number, tokens[1:]))
        self.keys: Final = {token: PointerPlace(each) for token, each in below.items()}
        self.folded: Final[dict[str, list[str]]] = {}
        for token in self.keys:
            self.folded.setdefault(token.casefold(), []).append(token)
        self.indexes: Final = {
            int(token): node for token, node in self.keys.items() if INDEX.fullmatch(token)
        }
        self.last_index: Final = max(self.indexes, default=-1)
        # Folding never makes a text shorter, so no longer key can be one of ours.
        self.longest_key: Final = 2 + _LONGEST_ESCAPE * max(map(len, self.folded), default=0)

    @cached_property
    def compact(self) -> re.Pattern[bytes]:
        """What eats members in text without control characters; compiled (2 ms) on first use."""
        return runs_beside(self.keys, spaced=False)

    @cached_property
    def spaced(self) -> re.Pattern[bytes]:
        """The same in text with line ends between its tokens."""
        return runs_beside(self.keys, spaced=True)

    def depth_first(self) -> Iterator[PointerPlace]:
        """Give this node and all below it."""
        yield self
        for node in self.keys.values():
            yield from node.depth_first()


class Container:
    """A container on a pointer's way: the keys seen, or the elements counted."""

    __slots__ = ("count", "node", "seen")

    def __init__(self, node: PointerPlace) -> None:
        self.node = node
        self.count = 0
        self.seen: set[str] = set()
