"""Which route a call falls to: first match wins, whatever way its path is spelt.

The canonical reading of the path decides. The other readings guard it: where one of them leads
to a route that the canonical one evades, the call is refused (400). A method that the call asks
for by an override is one more way to read it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sidecar.domain.model import Headers
from sidecar.policy.effects import Effect, Rank
from sidecar.policy.matcher import PathIndex
from sidecar.policy.overrides import MAX_OVERRIDES, METHOD, asked_methods
from sidecar.policy.paths import (
    PathReading,
    Readings,
    Segments,
    UnsafePath,
    literal_segments,
    readings,
)
from sidecar.policy.patterns import Pattern
from sidecar.policy.preflight import PREFLIGHT

_HOST: Final = b"host"
_UPGRADE: Final = b"upgrade"
_PORT: Final = re.compile(rb":[0-9]{1,5}\Z")
_GENERATION: Final = 2048
"""How many (method, path) pairs a generation of the cache holds; two are kept."""
_CACHED_LENGTH: Final = 256
"""Longer paths are not cached: the cache's memory has a bound, whatever is asked for."""


@dataclass(frozen=True, slots=True)
class Match:
    """What a call must have to fall to a route. `methods` None: any; header names lower case."""

    pattern: Pattern
    methods: frozenset[str] | None
    headers: tuple[tuple[bytes, bytes], ...]

    def takes_method(self, method: str) -> bool:
        """Whether the method is one of them; HEAD runs a product's GET handler."""
        return (
            self.methods is None
            or method in self.methods
            or (method == "HEAD" and "GET" in self.methods)
        )

    def missing(self, headers: Headers) -> tuple[bytes, bytes] | None:
        """Return the first header that this asks for and the call does not have."""
        for line in self.headers:
            if line not in headers and not _has_alike(line, headers):
                return line
        return None

    def covers(self, other: Match) -> bool:
        """Whether methods and headers hold for every call for which the other's hold."""
        methods = self.methods is None or (
            other.methods is not None and all(self.takes_method(m) for m in other.methods)
        )
        return methods and set(self.headers) <= set(other.headers)


Candidates = tuple[int, ...]
"""Numbers of the routes that path and method leave open; all but the last ask for headers."""


@dataclass(frozen=True, slots=True)
class _Conditional:
    """A path whose route depends on the headers of the call."""

    canonical: Candidates
    others: tuple[tuple[PathReading, Candidates], ...]


_Entry = int | UnsafePath | _Conditional


class Router:
    """Routes by number; `len(matches)` is the number of "unmatched", whose effect comes last."""

    def __init__(
        self, matches: Sequence[Match], effects: Sequence[Effect], *, case_sensitive: bool
    ) -> None:
        self.matches: Final = tuple(matches)
        self.effects: Final = tuple(effects)
        self.case_sensitive: Final = case_sensitive
        self._guarded = any(effect.rank is not Rank.FREE for effect in effects)
        self._by_method = self._guarded and any(match.methods is not None for match in matches)
        self._exact = PathIndex(match.pattern.segments for match in matches)
        folded = [match.pattern.folded() for match in matches]
        self._folded = self._exact if case_sensitive else PathIndex(folded)
        self._patterns_fold = folded != [match.pattern.segments for match in matches]
        self._young: dict[tuple[str, str], _Entry] = {}
        self._old: dict[tuple[str, str], _Entry] = {}
        self._last: tuple[str, Readings | UnsafePath] = ("/", Readings((), ()))

    def find(self, method: str, path: str, headers: Headers, query: str = "") -> int | UnsafePath:
        """Return the number of the route; `path` and `query` raw, without the `?` between."""
        entry = self._young.get((method, path))
        number = entry if isinstance(entry, int) else self.find_as(method, path, headers)
        if self._by_method and not isinstance(number, UnsafePath):
            asked = asked_methods(headers, query)
            if asked:
                return self._weigh_methods(number, asked, path, headers)
        return number

    def find_preflight(self, asked: str, path: str, headers: Headers) -> int | None:
        """Return the number of the route by which a preflight for the method `asked` passes.

        None where it is decided as any OPTIONS call: its path is unsafe, OPTIONS is free there or
        denied by name, or the method asked for is denied.
        """
        own = self.find_as(PREFLIGHT, path, headers)
        if isinstance(own, UnsafePath) or self.effects[own].rank is Rank.FREE:
            return None
        if self.effects[own].rank is Rank.DENIED and own < len(self.matches):
            methods = self.matches[own].methods
            if methods is not None and PREFLIGHT in methods:
                return None
        other = self.find_as(asked, path, headers)
        if isinstance(other, UnsafePath) or self.effects[other].rank is Rank.DENIED:
            return None
        return other

    def find_as(self, method: str, path: str, headers: Headers) -> int | UnsafePath:
        """Return the number of the route for this method alone, overrides left aside."""
        key = (method, path)
        entry = self._young.get(key)
        if entry is None:
            entry = self._recall(key)
        if isinstance(entry, int | UnsafePath):
            return entry
        number = self._first(entry.canonical, headers)
        others = [(reading, self._first(open_, headers)) for reading, open_ in entry.others]
        return self._judge(number, others)

    def read(self, path: str) -> Readings | UnsafePath:
        """Return the readings of a path, as `find` weighs them."""
        return readings(path, case_sensitive=self.case_sensitive, patterns_fold=self._patterns_fold)

    def choose(self, method: str, segments: Segments, headers: Headers, *, exact: bool) -> int:
        """Return the first route for one reading of a path, on its own."""
        return self._first(self._open(method, segments, exact=exact), headers)

    def path_matches(self, match: Match, segments: Segments) -> bool:
        """Whether a canonical reading matches the pattern of one route, on its own."""
        pattern = match.pattern
        index = PathIndex([pattern.segments if self.case_sensitive else pattern.folded()])
        return bool(index.find(segments))

    def _weigh_methods(
        self, number: int, asked: frozenset[str], path: str, headers: Headers
    ) -> int | UnsafePath:
        if len(asked) > MAX_OVERRIDES:
            return UnsafePath("the call asks for too many methods at once")
        for method in sorted(asked):
            other = self.find_as(method, path, headers)
            if isinstance(other, UnsafePath):
                return other
            if not self.effects[number].may_stand_for(self.effects[other]):
                return UnsafePath(
                    f"the call asks to be taken for {method[:20]}, which is another route; "
                    "send that method itself"
                )
        return number

    def _recall(self, key: tuple[str, str]) -> _Entry:
        entry = self._old.get(key)
        if entry is None:
            entry = self._settle(*key)
        method, path = key
        odd = isinstance(entry, _Conditional) and entry.others  # up to 600 KiB of readings
        if len(method) + len(path) <= _CACHED_LENGTH and not odd:
            if len(self._young) >= _GENERATION:
                self._old, self._young = self._young, {}
            self._young[key] = entry
        return entry

    def _settle(self, method: str, path: str) -> _Entry:
        if self._guarded and not METHOD.fullmatch(method):
            return UnsafePath(f"the method {method[:20]!a} is not an upper-case token")
        last, read = self._last
        if last != path:  # read once for all methods that a call asks for: up to 5 ms
            read = self.read(path)
            self._last = (path, read)
        if isinstance(read, UnsafePath):
            if self._guarded:
                return read
            read = Readings(literal_segments(path), ())
        canonical = self._open(method, read.canonical, exact=self.case_sensitive)
        others = [
            (reading, open_)
            for reading in read.others
            if (open_ := self._open(method, reading.segments, exact=reading.exact)) != canonical
        ]
        if len(canonical) > 1 or any(len(open_) > 1 for _, open_ in others):
            return _Conditional(canonical, tuple(others))
        return self._judge(canonical[0], [(reading, open_[0]) for reading, open_ in others])

    def _open(self, method: str, segments: Segments, *, exact: bool) -> Candidates:
        found: list[int] = []
        index = self._exact if exact else self._folded
        for number in index.find(segments, empty_end=True):
            match = self.matches[number]
            if match.takes_method(method):
                found.append(number)
                if not match.headers:
                    return tuple(found)
        found.append(len(self.matches))
        return tuple(found)

    def _first(self, candidates: Candidates, headers: Headers) -> int:
        for number in candidates[:-1]:
            if self.matches[number].missing(headers) is None:
                return number
        return candidates[-1]

    def _judge(self, number: int, others: Sequence[tuple[PathReading, int]]) -> int | UnsafePath:
        effect = self.effects[number]
        for reading, other in others:
            if other != number and not effect.may_stand_for(
                self.effects[other], slash=reading.slash, empty=reading.empty
            ):
                return UnsafePath(
                    "the path is spelt so that it could mean another route; "
                    "send it in its normal form"
                )
        return number


def _has_alike(wanted: tuple[bytes, bytes], headers: Headers) -> bool:
    """Whether a header that products compare loosely is there in another spelling."""
    name, value = wanted
    if name == _UPGRADE:
        return any(
            came == _UPGRADE and _protocol(text) == _protocol(value) for came, text in headers
        )
    return name == _HOST and _names_host(value, headers)


def _protocol(upgrade: bytes) -> bytes:
    """Return the name of a protocol without its version: `WebSocket/13` is `websocket`."""
    return upgrade.partition(b"/")[0].strip().lower()


def _names_host(wanted: bytes, headers: Headers) -> bool:
    """Whether Host is that host in another spelling: case, a trailing dot, a port not asked for."""
    host = wanted.lower()
    for name, value in headers:
        if name == _HOST:
            came = value.lower()
            if not _PORT.search(host):
                came = _PORT.sub(b"", came)
            return came.rstrip(b".") == host.rstrip(b".")
    return False
