"""The readings of a path: one decides, the others guard it."""

from __future__ import annotations

import pytest

from sidecar.policy.paths import (
    MAX_READINGS,
    PathReading,
    Readings,
    Segments,
    UnsafePath,
    literal_segments,
    normalise,
    readings,
)


def read(raw: str, *, case_sensitive: bool = False, patterns_fold: bool = False) -> Readings:
    """Return the readings of a path that has some."""
    found = readings(raw, case_sensitive=case_sensitive, patterns_fold=patterns_fold)
    assert isinstance(found, Readings)
    return found


def others(raw: str) -> set[Segments]:
    """Return the segments of the other readings."""
    return {reading.segments for reading in read(raw).others}


@pytest.mark.parametrize(
    ("raw", "normal"),
    [
        ("/", "/"),
        ("/paid", "/paid"),
        ("/free/../paid", "/paid"),
        ("/free/%2e%2e/paid", "/paid"),
        ("/free/.%2E/paid", "/paid"),
        ("/./paid/.", "/paid/"),
        ("/../../paid", "/paid"),
        ("/a/b/..", "/a/"),
        ("//paid", "/paid"),
        ("/a///b//", "/a/b/"),
        ("/%70%61id", "/paid"),
        ("/%7Euser/%7euser", "/~user/~user"),
        ("/a%c3%a9b%20", "/a%C3%A9b%20"),
        ("/a%3ab", "/a%3Ab"),
        ("/%252e%252e", "/%252e%252e"),
        ("/A;x=1/b", "/A;x=1/b"),
        ("/paid%2f", "/paid%2F"),
        ("/a\\b%5c", "/a\\b%5C"),
        ("/free//../paid", "/free/paid"),
    ],
)
def test_normalise(raw: str, normal: str) -> None:
    """As the interface says: unreserved characters decoded, dots resolved, slashes folded."""
    assert normalise(raw) == normal


@pytest.mark.parametrize(
    "raw",
    [
        "", "paid", "**", "*/", "*x", "http://x/paid", "/paid#", "/paid?x", "/a b",
        "/a\x00", "/a\tb", "/é",
        "/%", "/%2", "/%zz", "/%u0061", "/a" * 257, "/a/...", "/a/%20/b", "/a/.%20/b", "/..%20/",
    ],
)  # fmt: skip
def test_unsafe(raw: str) -> None:
    """What no list of readings bounds is refused."""
    assert isinstance(readings(raw, case_sensitive=False, patterns_fold=False), UnsafePath)


@pytest.mark.parametrize("raw", ["", "paid", "/paid#", "/a b", "/%zz", "/a" * 257])
def test_what_cannot_be_normalised(raw: str) -> None:
    """No normal form where there is no path."""
    assert isinstance(normalise(raw), UnsafePath)


def test_the_server_as_a_whole() -> None:
    """`*` is decided as `/`, and some servers read it as `/*`."""
    read = readings("*", case_sensitive=True, patterns_fold=False)
    assert read == Readings((), (PathReading(("*",), exact=True),))
    assert normalise("*") == "*"


@pytest.mark.parametrize(
    "raw",
    [
        "/a%2f%2e%2e;x//b.%5c%00%ff;..//%3f/c%252f..%252f%25%32%66%0a",
        "/" + "%2f" * 257,
        "/x;" + "a" * 20_000 + "%2f//..;/./%00%3f",
        "/" + "%41" * 20_000,
    ],
)
def test_too_many_readings(raw: str) -> None:
    """Readings multiply: their number, their length and their segments have a bound."""
    assert isinstance(readings(raw, case_sensitive=False, patterns_fold=False), UnsafePath)


def test_an_odd_path_has_few_readings() -> None:
    """What a careless client sends is far from the bound."""
    raw = "/files//My%20Report%20(1);x=1/caf%C3%A9%2Fmenu.pdf/"
    assert len(others(raw)) < MAX_READINGS / 2


@pytest.mark.parametrize("raw", ["/", "/api/v1/chat", "/a.b/c-d_e~f/x:y@z", "/a/b=c,d", "/a/.b"])
def test_plain_path_has_one_reading(raw: str) -> None:
    """The usual path is not looked at twice."""
    assert read(raw) == Readings(literal_segments(raw), ())


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        ("/PAID", ("paid",)),
        ("/paid/", ("paid",)),
        ("/paid;x=1", ("paid",)),
        ("/paid.", ("paid",)),
        ("/paid.;x", ("paid",)),
        ("/paid/;x", ("paid",)),
        ("/paid%20.%20", ("paid",)),
        ("/free;x/../paid", ("paid",)),
        ("/%2570aid", ("%70aid",)),
        ("/pa%69d//", ("paid",)),
        ("/%E2%84%AA", ("k",)),
        ("/a%2Fb%5c", ("a%2fb%5c",)),
        ("/a\\b", ("a\\b",)),
        ("/free/..;/paid", ("paid",)),
        ("/%ff", ("\udcff",)),
    ],
)
def test_canonical_reading(raw: str, canonical: Segments) -> None:
    """All foldings at once: what most stacks would come to."""
    assert read(raw).canonical == canonical


@pytest.mark.parametrize(
    ("raw", "other"),
    [
        ("/free/../paid", ("free", "..", "paid")),
        ("//paid", ("", "paid")),
        ("/paid/", ("paid", "")),
        ("/paid;x", ("paid;x",)),
        ("/paid.", ("paid.",)),
        ("/%70aid", ("%70aid",)),
        ("/free/%252e%252e/paid", ("paid",)),
        ("/free%252fpaid", ("free", "paid")),
        ("/free%255cpaid", ("free", "paid")),
        ("/free%2Fpaid", ("free", "paid")),
        ("/paid;/x", ("paid",)),
        ("/paid/x;/y", ("paid", "x")),
        ("//host/paid", ("paid",)),
        ("///host//paid", ("paid",)),
        ("//a//b", ("a", "", "b")),
        ("/pa%ffid", ("paid",)),
        ("/caf%e9", ("café",)),
        ("/%c0%af..%e0%80%afpaid", ("paid",)),
        ("/paid%00x", ("paid",)),
        ("/paid%0a", ("paid",)),
        ("/a+b", ("a b",)),
        ("/a%2Fb%20c", ("a%2Fb c",)),
        ("/%70/a%20b", ("%70", "a b")),
    ],
)
def test_other_readings(raw: str, other: Segments) -> None:
    """What a stack would come to that leaves one folding out, or decodes twice."""
    assert other in others(raw)


def test_a_double_encoded_nul_cuts_the_path() -> None:
    """A stack that decodes twice would cut the path at NUL."""
    assert ("paid",) in others("/paid%2500.png")


def test_path_in_another_case_is_read_exactly_as_well() -> None:
    """A product may mind case although the policy does not."""
    assert read("/a/B") == Readings(("a", "b"), (PathReading(("a", "B"), exact=True),))


def test_patterns_in_upper_case_make_plain_paths_ambiguous() -> None:
    """A product that minds case does not know `/a` where the policy says `/A`."""
    assert read("/a", patterns_fold=True).others == (PathReading(("a",), exact=True),)


@pytest.mark.parametrize("raw", ["/A/b", "/A/b/"])
def test_case_sensitive_readings_are_exact(raw: str) -> None:
    """With `case_sensitive` nothing is folded."""
    found = read(raw, case_sensitive=True)
    assert found.canonical == ("A", "b")
    assert all(reading.exact for reading in found.others)


def test_a_reading_knows_its_trailing_slash() -> None:
    """It is forgiven more than another spelling."""
    assert [(reading.slash, reading.empty) for reading in read("/a/").others] == [(True, True)]
    assert ("", "a") in {reading.segments for reading in read("//a").others if reading.empty}
    assert not PathReading((), exact=True).slash
