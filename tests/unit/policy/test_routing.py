"""Which route a call falls to, and which paths are refused."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence

import pytest

from sidecar.domain.model import Headers
from sidecar.policy import routing
from sidecar.policy.effects import Effect, Rank
from sidecar.policy.paths import Readings, UnsafePath, readings
from sidecar.policy.patterns import parse_pattern
from sidecar.policy.routing import Match, Router
from tests.unit.policy import path_vectors
from tests.unit.policy.path_vectors import DECISIONS, REFUSED

Row = tuple[str, Rank]


def effects(ranks: Sequence[Rank]) -> list[Effect]:
    """Return what routes do; each metered one charges in a way of its own."""
    return [Effect(rank, number) for number, rank in enumerate(ranks)]


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
        effects([*(rank for _, rank in rows), unmatched]),
        case_sensitive=case_sensitive,
    )


FREE, METERED, DENIED = Rank.FREE, Rank.METERED, Rank.DENIED
SHOP = path_vectors.shop()
NUMBERS = {name: number for number, (name, _, _) in enumerate(path_vectors.ROUTES)}


@pytest.mark.parametrize("path", DECISIONS)
def test_first_match_wins_however_it_is_spelt(path: str) -> None:
    """Conformance 22: metered whatever the spelling, or 400 where metering would be a guess."""
    found = SHOP.find("POST", path, ())
    if DECISIONS[path] == REFUSED:
        assert isinstance(found, UnsafePath)
        assert found.detail
    else:
        assert found == NUMBERS[DECISIONS[path]]


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ((("/**", METERED),), 0),
        ((("/", FREE), ("/**", METERED)), None),
        ((("/", METERED),), 0),
        ((("/*", METERED),), None),
        ((("/paid", METERED),), 1),
    ],
)
def test_options_of_the_whole_server(rows: tuple[Row, ...], found: int | None) -> None:
    """`OPTIONS *` is decided as `/`, and refused where `/*` is stricter: some servers read that."""
    number = router(*rows).find("OPTIONS", "*", ())
    assert isinstance(number, UnsafePath) if found is None else number == found


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
    effects([METERED, METERED, FREE]),
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
    effects([FREE, METERED, METERED, FREE]),
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
    router = Router([asking], effects([METERED, FREE]), case_sensitive=False)
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


OVERRIDE = b"x-http-method-override"
DOCUMENTS = Router(
    [
        match("/doc", {"PUT", "DELETE"}),
        match("/doc", {"PATCH"}),
        match("/doc", {"POST"}),
        match("/log", {"POST"}),
    ],
    [Effect(METERED, 1), Effect(DENIED), Effect(FREE), Effect(METERED, 1), Effect(FREE)],
    case_sensitive=False,
)


@pytest.mark.parametrize("asked", [b"PUT", b"put", b"DELETE", b"PATCH", b"GET, PUT"])
def test_a_call_that_asks_for_a_stricter_method_is_refused(asked: bytes) -> None:
    """Sinatra runs the PUT handler for a POST with an override."""
    assert DOCUMENTS.find("POST", "/doc", ()) == 2
    found = DOCUMENTS.find("POST", "/doc", [(OVERRIDE, asked)])
    assert isinstance(found, UnsafePath)
    assert isinstance(DOCUMENTS.find("POST", "/doc", (), f"_method={asked.decode()}"), UnsafePath)
    assert isinstance(DOCUMENTS.find("PUT", "/doc", [(OVERRIDE, b"patch")]), UnsafePath)


@pytest.mark.parametrize(
    ("method", "asked", "number"),
    [
        ("PUT", b"DELETE", 0),
        ("PUT", b"POST", 0),
        ("PATCH", b"GET", 1),
        ("POST", b"GET", 2),
        ("GET", b"HEAD", 4),
        ("PUT", b"CARD", 0),
    ],
)
def test_an_override_to_the_same_or_a_freer_route_passes(
    method: str, asked: bytes, number: int
) -> None:
    """Conformance 24: it changes nothing."""
    assert DOCUMENTS.find(method, "/doc", [(OVERRIDE, asked)]) == number


def test_an_override_is_weighed_with_every_reading_of_the_path() -> None:
    """Both at once evade nothing."""
    assert isinstance(DOCUMENTS.find("GET", "/x/../log", [(OVERRIDE, b"post")]), UnsafePath)
    assert isinstance(DOCUMENTS.find("GET", "/x%2f../log", [(OVERRIDE, b"post")]), UnsafePath)


def test_a_call_that_asks_for_many_methods_is_refused() -> None:
    """Each is one more look."""
    five = b"A,B,C,D,E"
    assert isinstance(DOCUMENTS.find("PUT", "/doc", [(OVERRIDE, five)]), UnsafePath)


def test_overrides_are_nothing_where_no_route_names_methods() -> None:
    """No other method leads elsewhere."""
    assert SHOP.find("GET", "/paid", [(OVERRIDE, b"A,B,C,D,E")]) == NUMBERS["paid"]


UPGRADES = Router(
    [match("/a", headers={"upgrade": "websocket"})],
    effects([METERED, FREE]),
    case_sensitive=False,
)


@pytest.mark.parametrize(
    ("came", "number"),
    [(b"websocket", 0), (b"WebSocket", 0), (b"websocket/13", 0), (b"other", 1), (b"", 1)],
)
def test_an_upgrade_is_the_same_in_every_spelling(came: bytes, number: int) -> None:
    """Products compare the protocol without regard to case (RFC 9110, 7.8)."""
    assert UPGRADES.find("GET", "/a", [(b"upgrade", came)]) == number
    assert UPGRADES.find("GET", "/a", ()) == 1


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


def test_paths_with_many_readings_are_not_cached() -> None:
    """One that each reading leads elsewhere by its fields takes up to 600 KiB: 4,096 are cached."""
    shop = Router(
        [match("/x/**", headers={"x-a": "1"}), match("/**")],
        effects([METERED, FREE, FREE]),
        case_sensitive=False,
    )
    tracemalloc.start()
    try:
        for number in range(20):
            shop.find("GET", f"/x/..;a.%252f;/../b/../{number}" + "/a/X;/a//a" * 12, ())
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1024 * 1024


def test_a_path_is_read_once_for_all_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its readings take up to 5 ms, and a call may ask for four methods beside its own."""
    shop = Router([match("/x", {"POST"})], effects([METERED, FREE]), case_sensitive=False)
    read: list[str] = []

    def counted(path: str, *, case_sensitive: bool, patterns_fold: bool) -> Readings | UnsafePath:
        read.append(path)
        return readings(path, case_sensitive=case_sensitive, patterns_fold=patterns_fold)

    monkeypatch.setattr(routing, "readings", counted)
    path = "/" + "a;b/" * 100
    shop.find("GET", path, [(OVERRIDE, b"PUT,PATCH,DELETE,LINK")])
    assert read == [path]


def test_choose_and_path_matches_answer_for_one_reading() -> None:
    """What an explanation asks."""
    assert SHOP.choose("GET", ("models", "list"), (), exact=False) == NUMBERS["list"]
    assert SHOP.path_matches(SHOP.matches[NUMBERS["model"]], ("models", "list"))
    assert not SHOP.path_matches(SHOP.matches[NUMBERS["model"]], ("models",))
    assert DOCUMENTS.find_as("POST", "/doc", [(OVERRIDE, b"put")]) == 2


PREFLIGHTS = Router(
    [
        match("/open", {"OPTIONS", "GET"}),
        match("/barred/**", {"OPTIONS"}),
        match("/barred/**", {"POST"}),
        match("/api/**", {"POST"}),
        match("/api/**", {"GET"}),
        match("/closed/**"),
        match("/all/**"),
    ],
    effects([FREE, DENIED, METERED, METERED, FREE, DENIED, METERED, DENIED]),
    case_sensitive=False,
)


@pytest.mark.parametrize(
    ("asked", "path", "number"),
    [
        ("POST", "/api/chat", 3),
        ("GET", "/api/chat", 4),
        ("HEAD", "/api/chat", 4),
        ("POST", "/API/chat", None),
        ("POST", "/all/chat", 6),
        ("DELETE", "/api/chat", None),
        ("POST", "/closed/chat", None),
        ("POST", "/barred/chat", None),
        ("POST", "/open", None),
        ("GET", "/open", None),
        ("POST", "/api/%zz", None),
        ("POST", "*", None),
    ],
)
def test_a_preflight_passes_by_the_route_of_the_method_it_asks_for(
    asked: str, path: str, number: int | None
) -> None:
    """Not where that is denied or its path unsafe, nor where OPTIONS has a route by name."""
    assert PREFLIGHTS.find_preflight(asked, path, ()) == number
