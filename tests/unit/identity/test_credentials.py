"""Where a caller's token is found, and when it is better not found."""

from __future__ import annotations

import pytest

from sidecar.domain.credentials import BearerSource, CookieSource, IdentityFailure
from sidecar.domain.model import Headers
from sidecar.identity.credentials import find_credential

BB_AT = CookieSource("bb_at")
BEARER = BearerSource()
SESSION = CookieSource("acme-notes_session", b"s" * 32)


def cookies(*lines: bytes) -> Headers:
    """Return a head with these Cookie lines among others."""
    return [(b"host", b"x"), *((b"cookie", line) for line in lines), (b"accept", b"*/*")]


def authorizations(*lines: bytes) -> Headers:
    """Return a head with these Authorization lines."""
    return [(b"authorization", line) for line in lines]


@pytest.mark.parametrize(
    "line",
    [
        b"bb_at=t.o.k",
        b"bb_at=t.o.k; a=b",
        b"a=b; bb_at=t.o.k",
        b"a=b;bb_at=t.o.k;c=d",
        b"a=b;\t bb_at = t.o.k \t; c=d",
        b"bb_at2=no; xbb_at=no; bb_at=t.o.k",
        b"a=bb_at=no; bb_at=t.o.k",
        b"bb_at; bb_at=t.o.k",
        b"BB_AT=no; bb_at=t.o.k",
        b"; ;;bb_at=t.o.k;;",
        b"x" * 900 + b"=1; bb_at=t.o.k",
    ],
)
def test_cookie_is_found_among_others(line: bytes) -> None:
    """The wanted cookie is found by its whole name at the start of a pair, and nowhere else."""
    assert find_credential(cookies(line), [BB_AT]) == (BB_AT, b"t.o.k")


def test_cookie_is_found_in_a_later_line() -> None:
    """Cookies split over several lines, as HTTP/2 does, are read all."""
    assert find_credential(cookies(b"a=b", b"bb_at=t", b"c=d"), [BB_AT]) == (BB_AT, b"t")


@pytest.mark.parametrize(
    "lines",
    [
        [b"bb_at=a; bb_at=b"],
        [b"bb_at=a; bb_at=a"],
        [b"bb_at=a", b"bb_at=b"],
        [b"bb_at=a;bb_at =b"],
        [b"bb_at=; bb_at=b"],
        [b"bb_at=b; c=d; bb_at="],
        [b"bb_at=a; c=d; \t bb_at\t=b"],
        [b"bb_at=a; \xa0bb_at=b"],
        [b"bb_at=a", b"\x85bb_at\xa0 =b"],
        [b"bb_at=a; \xc2\xa0bb_at=b"],
        [b"bb_at=a;\x0bbb_at\x1c=b"],
        [b"bb_at=a;, bb_at=b"],
        [b"x=y bb_at=a;\xad;bb_at=b"],
        [b"bb_at=a; x=y,bb_at=b"],
    ],
)
def test_cookie_twice_is_ambiguous(lines: list[bytes]) -> None:
    """The wanted cookie twice is refused, even with the same value, an empty one or any blanks."""
    assert find_credential(cookies(*lines), [BB_AT]) is IdentityFailure.AMBIGUOUS


@pytest.mark.parametrize(
    "line",
    [b"", b"bb_at", b"bb_at=", b"bb_at= ; a=b", b"a=bb_at=x", b"xbb_at=x", b"bb_at2=x", b"a;bb_at"],
)
def test_absent_or_empty_cookie_is_missing(line: bytes) -> None:
    """No such cookie, or one that a logout emptied, is no credential."""
    assert find_credential(cookies(line), [BB_AT]) is IdentityFailure.MISSING


def test_quotes_belong_to_the_value() -> None:
    """A quoted value keeps its quotes, which no token has."""
    assert find_credential(cookies(b'bb_at="t"'), [BB_AT]) == (BB_AT, b'"t"')


@pytest.mark.parametrize("name", ["bb_session", ""])
def test_platform_session_is_never_read(name: str) -> None:
    """The platform's own cookie is not read even when it is asked for; nor is a nameless one."""
    source = CookieSource(name)
    assert find_credential(cookies(b"bb_session=x; =y"), [source]) is IdentityFailure.MISSING


@pytest.mark.parametrize("line", [b"Bearer t.o.k", b"bearer t.o.k", b"BEARER   t.o.k"])
def test_bearer_is_found(line: bytes) -> None:
    """The scheme is compared without case (RFC 9110 section 11.1)."""
    assert find_credential(authorizations(line), [BEARER]) == (BEARER, b"t.o.k")


@pytest.mark.parametrize("line", [b"Basic dTpw", b"Bearert.o.k", b"", b"Token t.o.k"])
def test_other_scheme_is_missing(line: bytes) -> None:
    """Another scheme is no credential of ours."""
    assert find_credential(authorizations(line), [BEARER]) is IdentityFailure.MISSING


@pytest.mark.parametrize(
    ("line", "token"),
    [(b"Bearer", b""), (b"Bearer\tt.o.k", b"\tt.o.k"), (b"Bearer a, Bearer b", b"a, Bearer b")],
)
def test_odd_bearer_is_present(line: bytes, token: bytes) -> None:
    """A bearer line that is not well formed is present, so no later source replaces it."""
    head = [*authorizations(line), (b"cookie", b"bb_at=t")]
    assert find_credential(head, [BEARER, BB_AT]) == (BEARER, token)


@pytest.mark.parametrize("other", [b"Bearer b", b"Bearer a", b"Basic dTpw"])
def test_two_authorizations_are_ambiguous(other: bytes) -> None:
    """Two Authorization lines are refused, whatever their schemes."""
    head = authorizations(b"Bearer a", other)
    assert find_credential(head, [BEARER]) is IdentityFailure.AMBIGUOUS


def test_first_present_source_decides() -> None:
    """Sources are tried in order; a later one is not looked at once one is present."""
    head = [*cookies(b"acme-notes_session=s; bb_at=a; bb_at=b"), *authorizations(b"Bearer t")]
    assert find_credential(head, [SESSION, BEARER, BB_AT]) == (SESSION, b"s")


def test_later_source_serves_when_earlier_are_absent() -> None:
    """An absent source passes the question on."""
    head = cookies(b"acme-notes_session=s")
    assert find_credential(head, [BB_AT, BEARER, SESSION]) == (SESSION, b"s")


def test_ambiguous_source_is_not_passed_over() -> None:
    """An ambiguous source refuses the call, though a later one would be good."""
    head = cookies(b"bb_at=a; bb_at=b; acme-notes_session=s")
    assert find_credential(head, [BB_AT, SESSION]) is IdentityFailure.AMBIGUOUS


def test_no_source_is_missing() -> None:
    """Nothing configured finds nothing."""
    assert find_credential(cookies(b"bb_at=t"), []) is IdentityFailure.MISSING
