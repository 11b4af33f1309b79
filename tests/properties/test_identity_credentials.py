"""Searching for a cookie finds what splitting the line finds."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.domain.credentials import CookieSource, IdentityFailure
from sidecar.identity.credentials import find_credential

SOURCE = CookieSource("ab")
LINES = st.lists(
    st.text(alphabet="ab=; \t\"'c", max_size=30).map(str.encode), min_size=1, max_size=3
)


def split(lines: list[bytes]) -> bytes | IdentityFailure:
    """Find the cookie the slow and plain way."""
    pairs = [pair.split(b"=", 1) for line in lines for pair in line.split(b";") if b"=" in pair]
    values = [value.strip(b" \t") for name, value in pairs if name.strip(b" \t") == b"ab"]
    if len(values) > 1:
        return IdentityFailure.AMBIGUOUS
    return (values[0] if values else b"") or IdentityFailure.MISSING


@given(lines=LINES)
@example(lines=[b"ab=1;ab=2"])
@example(lines=[b"aab=1; ab =2;abb=3"])
@example(lines=[b"ab", b"=ab=;ab=c"])
def test_search_agrees_with_splitting(lines: list[bytes]) -> None:
    """Whatever stands in the Cookie lines, both ways find the same, or the same fault."""
    found = find_credential([(b"cookie", line) for line in lines], [SOURCE])
    token = found if isinstance(found, IdentityFailure) else found[1]
    assert token == split(lines)


@given(line=st.binary(max_size=60))
def test_no_line_raises(line: bytes) -> None:
    """Any bytes at all are a token, a fault or nothing."""
    find_credential([(b"cookie", line), (b"authorization", line)], [SOURCE])
