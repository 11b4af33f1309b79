"""Which patterns match a path: a trie, so that the number of routes hardly counts."""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.policy.paths import Segments
from sidecar.policy.patterns import ANY, ONE


class _Node:
    """Where a walk through the patterns is after some segments."""

    __slots__ = ("any", "ends", "literals", "loops", "one")

    def __init__(self, *, loops: bool = False) -> None:
        self.literals: dict[str, _Node] = {}
        self.one: _Node | None = None
        self.any: _Node | None = None
        self.ends: list[int] = []
        self.loops = loops  # a `**`: it takes in any segment and stays

    @property
    def final(self) -> bool:
        """Whether nothing can follow, so that a `**` here matches whatever comes."""
        return not self.literals and self.one is None

    def child(self, segment: str) -> _Node:
        if segment == ANY:
            self.any = self.any or _Node(loops=True)
            return self.any
        if segment == ONE:
            self.one = self.one or _Node()
            return self.one
        return self.literals.setdefault(segment, _Node())


class PathIndex:
    """Patterns by number. The segments given are compared as they are: fold case before."""

    def __init__(self, patterns: Iterable[Segments]) -> None:
        self._root = _Node()
        for number, segments in enumerate(patterns):
            node = self._root
            for segment in segments:
                node = node.child(segment)
            node.ends.append(number)

    def find(self, segments: Segments, *, empty_end: bool = False) -> list[int]:
        """Return the numbers of all patterns that match, in order; some may come twice.

        `*` takes no empty segment, but the last one with `empty_end`: some routers (find-my-way)
        serve `/items/` by the route of `/items/:id`.
        """
        found: list[int] = []
        last = len(segments) - 1
        active: list[_Node] = []
        _enter(self._root, active, found)
        for place, segment in enumerate(segments):
            following: list[_Node] = []
            for node in active:
                if node.loops and node not in following:
                    following.append(node)
                if (child := node.literals.get(segment)) is not None:
                    _enter(child, following, found)
                if node.one is not None and (segment or (empty_end and place == last)):
                    _enter(node.one, following, found)
            active = following
            if not active:
                break
        for node in active:
            found.extend(node.ends)
        found.sort()
        return found


def _enter(node: _Node, active: list[_Node], found: list[int]) -> None:
    if node not in active:
        active.append(node)
    loop = node.any
    if loop is None:
        return
    if loop.final:
        found.extend(loop.ends)  # matches whatever is left: no need to walk on
    elif loop not in active:
        active.append(loop)
