"""Which route a call falls to, and which paths are refused."""

from __future__ import annotations

import pytest

from sidecar.model import Headers
from sidecar.policy.paths import Reading, UnsafePath
from sidecar.policy.patterns import parse_pattern
from sidecar.policy.routing import Match, Rank, Router, may_stand

Row = tuple[str, Rank]


def match(
    path: str, methods: set[str] | None = None, headers: dict[str, str] | None = None
) -> Match:
    """Return what a route asks of a call."""
    lines = tuple((k.encode(), v.encode()) for k, v in (headers or {}).items())
    return Match(parse_pattern(path), None if methods is None else frozenset(methods), lines)


def router(*rows: Row, unmatched: Rank = Rank.FREE, case_sensitive: bool = False) -> Router:
    """Return a router of paths alone."""
    return Router(
        [match(path) for path, _ in rows],
        [*(rank for _, rank in rows), unmatched],
        case_sensitive=case_sensitive,
    )


FREE, METERED, DENIED = Rank.FREE, Rank.METERED, Rank.DENIED
SHOP = router(
    ("/free/**", FREE),
    ("/paid", METERED),
    ("/models/list", FREE),
    ("/models/*", METERED),
    ("/cheap", METERED),
    ("/admin/**", DENIED),
    ("/dear/**", METERED),
)
UNMATCHED = 7


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("/free/x", 0),
        ("/paid", 1),
        ("/free/../paid", 1),
        ("/free/%2e%2e/paid", 1),
        ("//paid", 1),
        ("/%70aid", 1),
        ("/paid;x", 1),
        ("/paid.", 1),
        ("/paid/", 1),
        ("/PAID", 1),
        ("/models/list", 2),
        ("/models/gpt", 3),
        ("/models/GPT-4", 3),
        ("/free/../admin/x", 5),
        ("/else", UNMATCHED),
        ("/Else/AbC/", UNMATCHED),
    ],
)
def test_first_match_wins_however_it_is_spelt(path: str, number: int) -> None:
    """Conformance 22: metered, whatever the spelling."""
    assert SHOP.find("POST", path, ()) == number


@pytest.mark.parametrize(
    "path",
    [
        "/paid%2f", "/paid\\", "/paid#", "/paid?", "/paid%00", "/paid%0a", "/free/..;/paid",
        "/free/%252e%252e/paid", "/models/LIST", "/models/%6cist", "/models/list;x",
        "/models/list.", "/dear/../cheap", "/dear/../free/x", "/admin/../paid", "/admin/../free/x",
        "/dear;/../free/x", "/paid%3fx", "/paid%23x", "*", "",
    ],
)  # fmt: skip
def test_what_could_be_a_stricter_route_is_refused(path: str) -> None:
    """Conformance 22: 400 where metering would be a guess."""
    assert isinstance(SHOP.find("POST", path, ()), UnsafePath)


@pytest.mark.parametrize("path", ["/a/../b", "/%2f", "/x;y", "/A", "*", "/a%00"])
def test_nothing_is_refused_where_nothing_is_metered(path: str) -> None:
    """A policy that only allows has nothing to guard."""
    assert router(("/b", FREE)).find("GET", path, ()) in {0, 1}


@pytest.mark.parametrize("method", ["post", "Post", "", "PO ST", "POST\n", "PÖST"])
def test_methods_that_a_product_may_fold_are_refused(method: str) -> None:
    """Conformance 8: a lower-case method never slips by a metered route."""
    assert isinstance(SHOP.find(method, "/paid", ()), UnsafePath)


def test_case_sensitive_routes() -> None:
    """Where all routes mind case, another case is another path."""
    exact = router(("/Paid", METERED), ("/paid", FREE), case_sensitive=True)
    assert [exact.find("GET", path, ()) for path in ("/Paid", "/paid", "/PAID")] == [0, 1, 2]


def test_case_of_the_pattern_does_not_matter() -> None:
    """A pattern in upper case meters the lower-case path."""
    assert router(("/API/Chat", METERED)).find("GET", "/api/chat", ()) == 0


def test_default_deny_takes_paths_in_their_listed_spelling() -> None:
    """Where what is not listed is denied, another spelling is not listed; a slash is forgiven."""
    strict = router(("/api/chat", METERED), unmatched=DENIED)
    assert strict.find("POST", "/api/chat/", ()) == 0
    assert isinstance(strict.find("POST", "//api/chat", ()), UnsafePath)
    assert isinstance(strict.find("POST", "/API/chat", ()), UnsafePath)


METHODS = Router(
    [match("/a", {"GET"}), match("/a", {"POST", "PUT"})],
    [METERED, METERED, FREE],
    case_sensitive=False,
)


@pytest.mark.parametrize(
    ("method", "number"), [("GET", 0), ("HEAD", 0), ("POST", 1), ("PUT", 1), ("DELETE", 2)]
)
def test_methods(method: str, number: int) -> None:
    """HEAD goes where GET goes."""
    assert METHODS.find(method, "/a", ()) == number


TIERS = Router(
    [
        match("/a/b", headers={"x-tier": "gold", "x-beta": "1"}),
        match("/a/b", headers={"x-tier": "gold"}),
        match("/a/*"),
    ],
    [FREE, METERED, METERED, FREE],
    case_sensitive=False,
)


@pytest.mark.parametrize(
    ("headers", "number"),
    [
        ([], 2),
        ([(b"x-tier", b"gold")], 1),
        ([(b"x-tier", b"tin"), (b"x-tier", b"gold")], 1),
        ([(b"x-tier", b"Gold")], 2),
        ([(b"x-tier", b"gold"), (b"x-beta", b"1")], 0),
        ([(b"x-beta", b"1")], 2),
    ],
)
def test_headers(headers: Headers, number: int) -> None:
    """All headers of a route must be there, each on some line; twice, as the second is cached."""
    assert [TIERS.find("GET", "/a/b", headers) for _ in range(2)] == [number, number]


@pytest.mark.parametrize(
    ("wanted", "came", "number"),
    [
        (b"ai.example", b"ai.example", 0),
        (b"ai.example", b"AI.Example", 0),
        (b"ai.example", b"ai.example.", 0),
        (b"ai.example", b"ai.example:8080", 0),
        (b"AI.example.", b"ai.example.:80", 0),
        (b"ai.example:80", b"AI.example:80", 0),
        (b"ai.example:80", b"ai.example", 1),
        (b"ai.example", b"ai.example.org", 1),
        (b"[::1]", b"[::1]:80", 0),
    ],
)
def test_a_host_is_the_same_in_every_spelling(wanted: bytes, came: bytes, number: int) -> None:
    """A route that asks for a host is not evaded by case, a trailing dot or a port."""
    asking = match("/a", headers={"host": wanted.decode()})
    router = Router([asking], [METERED, FREE], case_sensitive=False)
    assert router.find("GET", "/a", [(b"host", came)]) == number
    assert router.find("GET", "/a", []) == 1


def test_headers_are_weighed_in_every_reading() -> None:
    """A header that frees the canonical path does not free the path that it could be."""
    gold = [(b"x-tier", b"gold"), (b"x-beta", b"1")]
    assert isinstance(TIERS.find("GET", "/a/B", gold), UnsafePath)


@pytest.mark.parametrize(
    ("earlier", "later", "covers"),
    [
        (match("/"), match("/"), True),
        (match("/"), match("/", {"GET"}), True),
        (match("/", {"GET"}), match("/"), False),
        (match("/", {"GET"}), match("/", {"HEAD"}), True),
        (match("/", {"HEAD"}), match("/", {"GET"}), False),
        (match("/", {"GET", "PUT"}), match("/", {"GET"}), True),
        (match("/", headers={"a": "1"}), match("/"), False),
        (match("/", headers={"a": "1"}), match("/", headers={"a": "1", "b": "2"}), True),
        (match("/", headers={"a": "1"}), match("/", headers={"a": "2"}), False),
    ],
)
def test_covers(earlier: Match, later: Match, covers: bool) -> None:  # noqa: FBT001
    """Methods and headers of one route hold wherever the other's do."""
    assert earlier.covers(later) is covers


SPELLING = Reading((), exact=True, structure=False, slash=False)
STRUCTURE = Reading((), exact=True, structure=True, slash=False)
SLASH = Reading((), exact=True, structure=False, slash=True)


@pytest.mark.parametrize(
    ("canonical", "other", "reading", "stands"),
    [
        (DENIED, FREE, SPELLING, True),
        (DENIED, METERED, STRUCTURE, True),
        (FREE, FREE, STRUCTURE, True),
        (FREE, METERED, SPELLING, False),
        (FREE, METERED, SLASH, False),
        (FREE, DENIED, SPELLING, False),
        (METERED, FREE, STRUCTURE, True),
        (METERED, METERED, SPELLING, True),
        (METERED, METERED, STRUCTURE, False),
        (METERED, METERED, SLASH, True),
        (METERED, DENIED, SPELLING, False),
        (METERED, DENIED, SLASH, True),
    ],
)
def test_may_stand(
    canonical: Rank,
    other: Rank,
    reading: Reading,
    stands: bool,  # noqa: FBT001
) -> None:
    """The table of the policy reference."""
    assert may_stand(canonical, other, reading) is stands


def test_cache_is_bounded_and_keeps_answering() -> None:
    """Random paths push each other out, not the answers."""
    shop = router(("/paid", METERED))
    for number in range(10_000):
        assert shop.find("GET", f"/x/{number}", ()) == 1
    assert shop.find("GET", "/paid", ()) == 0
    assert len(shop._young) + len(shop._old) <= 4096


def test_long_paths_are_not_cached() -> None:
    """The cache is bounded in bytes as well."""
    shop = router(("/paid", METERED))
    shop.find("GET", "/x" * 200, ())
    assert not shop._young


def test_choose_and_path_matches_answer_for_one_reading() -> None:
    """What an explanation asks."""
    assert SHOP.choose("GET", ("models", "list"), (), exact=False) == 2
    assert SHOP.path_matches(SHOP.matches[3], ("models", "list"))
    assert not SHOP.path_matches(SHOP.matches[3], ("models",))
