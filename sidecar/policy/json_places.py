"""The places in a JSON document that pointers lead to or through, and what is found there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Final

from sidecar.policy.json_grammar import other_members
from sidecar.policy.json_pointer import JsonValue, Missing, PointerResult, Unreadable
from sidecar.policy.json_values import decoded_string

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
    def others(self) -> re.Pattern[bytes]:
        """What eats the members that no pointer leads to; compiled (1 ms) on first use."""
        return other_members(self.keys)

    def depth_first(self) -> Iterator[PointerPlace]:
        """Give this node and all below it."""
        yield self
        for node in self.keys.values():
            yield from node.depth_first()


class Findings:
    """What was found at the end of each pointer."""

    __slots__ = ("results",)

    def __init__(self, size: int) -> None:
        self.results: list[PointerResult] = [Missing()] * size

    def found(self, place: PointerPlace, value: JsonValue) -> None:
        """Take what is at a place, except for pointers that are spoiled."""
        for number in place.ends:
            if not isinstance(self.results[number], Unreadable):
                self.results[number] = value

    def spoil(self, place: PointerPlace, detail: str) -> None:
        """Take that what is at a place, or below it, cannot be read in one way only."""
        for number in place.all:
            self.results[number] = Unreadable(detail)


class Container:
    """A container on a pointer's way: the keys seen, or the elements counted."""

    __slots__ = ("_seen", "count", "place")

    def __init__(self, place: PointerPlace) -> None:
        self.place = place
        self.count = 0
        self._seen: set[str] = set()

    def member(self, key: bytes, findings: Findings) -> PointerPlace | None:
        """Return where a key, as it is written, leads; spoil what is there twice, in any sense."""
        place = self.place
        if len(key) > place.longest_key:
            return None
        name = decoded_string(key)
        for token in place.folded.get(name.casefold(), ()):
            if token != name:
                detail = f"the body has keys that differ from {token!r} only in case"
                findings.spoil(place.keys[token], detail)
        child = place.keys.get(name)
        if child is None:
            return None
        if name in self._seen:
            findings.spoil(child, f"the body has the key {name!r} more than once")
            return None
        self._seen.add(name)
        return child
