"""Paths and routes, whatever is asked for."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Final

from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.policy.effects import Effect, Rank
from sidecar.policy.matcher import PathIndex
from sidecar.policy.paths import (
    MAX_READINGS,
    Segments,
    UnsafePath,
    literal_segments,
    normalise,
    readings,
)
from sidecar.policy.patterns import parse_pattern
from sidecar.policy.routing import Match, Router

BITS: Final = st.sampled_from(
    ["/", "//", ".", "..", "/..", "/../", "/./", "%2e", "%2E", "%252e", ";", ";x", "%3b", "a", "A",
     "b", "B", "%61", "%41", "%2561", "%62", "%20", "%2f", "%252f", "%5c", "%", "%c3%a9", "%ff",
     "é", "\\", "\x00", " ", "?", "#", "~", "%7e", "/a", "/b", "/a/b", "c"]
)  # fmt: skip
PATHS: Final = st.lists(BITS, max_size=10).map(lambda bits: "/" + "".join(bits))
SEGMENTS: Final = st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=6).map(tuple)
PATTERNS: Final = st.lists(st.sampled_from(["a", "b", "c", "*", "**"]), max_size=5).map(
    lambda bits: tuple(
        bit for place, bit in enumerate(bits) if bits[place - 1 : place + 1] != ["**", "**"]
    )
)
RANKS: Final = st.sampled_from(list(Rank))


def matches(pattern: Segments, segments: Segments) -> bool:
    """Say what a pattern means, in the plainest words."""
    if not pattern:
        return not segments
    if pattern[0] == "**":
        return any(matches(pattern[1:], segments[n:]) for n in range(len(segments) + 1))
    if not segments:
        return False
    fits = bool(segments[0]) if pattern[0] == "*" else pattern[0] == segments[0]
    return fits and matches(pattern[1:], segments[1:])


@given(st.lists(PATTERNS, max_size=12), SEGMENTS)
def test_index_finds_what_the_patterns_mean(patterns: list[Segments], path: Segments) -> None:
    """The trie equals trying each pattern."""
    expected = {number for number, pattern in enumerate(patterns) if matches(pattern, path)}
    assert set(PathIndex(patterns).find(path)) == expected


@given(PATTERNS, PATTERNS, SEGMENTS)
def test_a_pattern_that_covers_another_matches_all_its_paths(
    earlier: Segments, later: Segments, path: Segments
) -> None:
    """No route is called unreachable that some call could reach."""
    symbol = parse_pattern("/" + "/".join(later)).symbol(case_sensitive=False)
    if PathIndex([earlier]).find(symbol) and matches(later, path):
        assert matches(earlier, path)


@given(PATHS)
@example("/a/%2e%2e;/b")
@example("/%252e%252e/a")
def test_normalise_is_idempotent(raw: str) -> None:
    """What is normal stays as it is."""
    once = normalise(raw)
    if isinstance(once, str):
        assert normalise(once) == once


@given(PATHS, st.booleans())
def test_readings_are_bounded_and_total(raw: str, case_sensitive: bool) -> None:  # noqa: FBT001
    """Any path is read or refused, in a bounded number of ways."""
    found = readings(raw, case_sensitive=case_sensitive, patterns_fold=True)
    if isinstance(found, UnsafePath):
        assert found.detail
    else:
        assert len(found.others) <= 2 * MAX_READINGS
        assert not any("/" in segment for segment in found.canonical)


def router(routes: list[tuple[Segments, Rank]], unmatched: Rank) -> Router:
    """Compile routes whose patterns are given as segments."""
    return Router(
        [Match(parse_pattern("/" + "/".join(pattern)), None, ()) for pattern, _ in routes],
        [*(Effect(rank, number) for number, (_, rank) in enumerate(routes)), Effect(unmatched)],
        case_sensitive=False,
    )


ROUTES: Final = st.lists(st.tuples(PATTERNS, RANKS), max_size=6)


def naive(routes: list[tuple[Segments, Rank]], path: Segments) -> int:
    """First match wins."""
    for number, (pattern, _) in enumerate(routes):
        if matches(pattern, path):
            return number
    return len(routes)


@given(ROUTES, RANKS, SEGMENTS.filter(all))
def test_plain_paths_go_where_the_first_match_says(
    routes: list[tuple[Segments, Rank]], unmatched: Rank, path: Segments
) -> None:
    """A path in its normal form is never refused, and never surprised."""
    raw = "/" + "/".join(path)
    assert router(routes, unmatched).find("GET", raw, ()) == naive(routes, literal_segments(raw))


def decode(text: str) -> str:
    """Decode the escapes that the paths below have."""
    for escape, char in (("%61", "a"), ("%62", "b"), ("%2e", "."), ("%41", "A")):
        text = text.replace(escape, char)
    return text


def by_segment(change: Callable[[str], str]) -> Callable[[str], str]:
    """Change each segment but the dot segments."""
    return lambda path: "/".join(
        segment if segment in {".", ".."} else change(segment) for segment in path.split("/")
    )


def resolve(path: str) -> str:
    """Remove dot segments."""
    kept: list[str] = []
    for segment in path.split("/")[1:]:
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join(kept) + "/" * (bool(kept) and path.endswith(("/.", "/..")))


STEPS: Final[tuple[Callable[[str], str], ...]] = (
    decode,
    by_segment(lambda segment: segment.split(";")[0]),
    by_segment(lambda segment: segment.rstrip(".")),
    lambda path: re.sub("/+", "/", path),
    resolve,
    str.lower,
    lambda path: path.removesuffix("/") or "/",
)
"""What a product's stack may do to a path, each step or not: written apart from the code."""


def products_read(raw: str) -> Iterator[tuple[Segments, bool]]:
    """Give what every stack makes of a path, and whether it strips a trailing slash."""
    for chosen in itertools.product((True, False), repeat=len(STEPS)):
        path = raw
        for step in itertools.compress(STEPS, chosen):
            path = step(path)
        yield literal_segments(path), chosen[-1]


ODD_PATHS: Final = st.lists(
    st.sampled_from(
        ["/", "/a", "/b", "/c", "/A", "/..", "/.", ";x", ".", "/%61", "/%62", "/%2e%2e", "/%41"]
    ),
    min_size=1,
    max_size=7,
).map(lambda bits: "".join(bits) if bits[0].startswith("/") else "/" + "".join(bits))  # fmt: skip


@given(ROUTES, RANKS, ODD_PATHS)
@example([(("a", "b"), Rank.FREE), (("a", "*"), Rank.METERED)], Rank.FREE, "/a/B")
@example([(("a", "**"), Rank.METERED), (("b", "**"), Rank.FREE)], Rank.FREE, "/a/../b")
@example([(("a", "**"), Rank.FREE), (("b",), Rank.METERED)], Rank.FREE, "/a;x/../b")
@example([(("a", "**"), Rank.FREE), (("b",), Rank.METERED)], Rank.FREE, "/a/..;x/b")
@example([(("a", "b"), Rank.FREE), (("a", "**"), Rank.METERED)], Rank.FREE, "/a/b/")
def test_no_spelling_evades_a_route(
    routes: list[tuple[Segments, Rank]], unmatched: Rank, raw: str
) -> None:
    """A free route is never taken, nor a denied one evaded, in a way that some product undoes.

    A product is any of the stacks; what it would serve is the route of its reading.
    """
    found = router(routes, unmatched).find("GET", raw, ())
    if isinstance(found, UnsafePath):
        return
    ranks = [*(rank for _, rank in routes), unmatched]
    for read, strips_slash in set(products_read(raw)):
        served = ranks[naive(routes, read)]
        if ranks[found] is Rank.FREE:
            assert served is Rank.FREE, read
        elif ranks[found] is Rank.METERED and strips_slash:
            assert served is not Rank.DENIED, read
