"""The readings of a path: one decides, the others guard it."""

from __future__ import annotations

import pytest

from sidecar.policy.paths import (
    Reading,
    Readings,
    Segments,
    UnsafePath,
    fold_case,
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
    ],
)
def test_normalise(raw: str, normal: str) -> None:
    """As the interface says: unreserved characters decoded, dots resolved, slashes folded."""
    assert normalise(raw) == normal


@pytest.mark.parametrize(
    "raw",
    [
        "", "paid", "*", "http://x/paid", "/paid%2f", "/paid%2F..", "/a%5cb", "/a\\b", "/paid%00",
        "/paid%0a", "/paid%7f", "/paid#", "/paid?x", "/a b", "/a\x00", "/a\tb", "/é", "/%", "/%2",
        "/%zz", "/a%c0%af", "/a%e0%80%af", "/a%f0%80%80%af", "/free//../paid", "/a" * 257,
    ],
)  # fmt: skip
def test_unsafe(raw: str) -> None:
    """What has no legitimate use is refused, normalised or read."""
    assert isinstance(normalise(raw), UnsafePath)
    assert isinstance(readings(raw, case_sensitive=False, patterns_fold=False), UnsafePath)


@pytest.mark.parametrize(
    "raw",
    ["/free/..;/paid", "/free/..;x/paid", "/a/.;/b", "/a/...", "/a/%20", "/a/.. /b", "/..%3b/"],
)
def test_disguised_dots(raw: str) -> None:
    """Dots that become a dot segment after something else is stripped."""
    raw = raw.replace(" ", "%20")
    assert isinstance(readings(raw, case_sensitive=False, patterns_fold=False), UnsafePath)


def test_too_many_oddities() -> None:
    """Readings multiply, so that a path may be odd in three ways at most."""
    odd = "/%61;x/../b//c%252e"
    assert isinstance(readings(odd, case_sensitive=False, patterns_fold=False), UnsafePath)


@pytest.mark.parametrize("raw", ["/", "/api/v1/chat", "/a.b/c-d_e~f/x:y@z", "/a/b=c,d"])
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
    ],
)
def test_other_readings(raw: str, other: Segments) -> None:
    """What a stack would come to that leaves one folding out, or decodes twice."""
    assert other in others(raw)


def test_control_byte_hidden_by_double_encoding() -> None:
    """A stack that decodes twice would cut the path at NUL."""
    raw = "/paid%2500.png"
    assert isinstance(readings(raw, case_sensitive=False, patterns_fold=False), UnsafePath)


def test_path_in_another_case_is_read_exactly_as_well() -> None:
    """A product may mind case although the policy does not."""
    assert read("/a/B") == Readings(
        ("a", "b"), (Reading(("a", "B"), exact=True, structure=False, slash=False),)
    )


def test_patterns_in_upper_case_make_plain_paths_ambiguous() -> None:
    """A product that minds case does not know `/a` where the policy says `/A`."""
    assert read("/a", patterns_fold=True).others == (
        Reading(("a",), exact=True, structure=False, slash=False),
    )


@pytest.mark.parametrize("raw", ["/A/b", "/A/b/"])
def test_case_sensitive_readings_are_exact(raw: str) -> None:
    """With `case_sensitive` nothing is folded."""
    found = read(raw, case_sensitive=True)
    assert found.canonical == ("A", "b")
    assert all(reading.exact for reading in found.others)


def test_fold_case_is_unicode() -> None:
    """Case folding goes beyond ASCII."""
    assert fold_case("ÀÉÇ") == "àéç"
