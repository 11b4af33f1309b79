"""What the expressions eat in one match."""

from __future__ import annotations

import re

import pytest

from sidecar.policy.json_grammar import IN_ARRAY, IN_OBJECT, SCALAR, count_members, other_members


def eaten(pattern: re.Pattern[bytes], text: bytes) -> bytes:
    """Return what a pattern eats from the beginning of a text."""
    match = pattern.match(text)
    assert match is not None
    return match[0]


@pytest.mark.parametrize(
    ("text", "length"),
    [
        (b"1,2,3]", 5), (b"1 , 2 ]", 6), (b"1,2", 2), (b"12", 0), (b"1,12", 2), (b"[1,[2]],3]", 9),
        (b"[[[1]]],3]", 0), (b"1,[[[1]]],3]", 2), (b'"a","b"]', 7), (b'"a","b', 4),
        (b'{"a":{}},', 9),
        (b"[1,],2]", 0), (b"[1, ],2]", 0), (b"[,1],2]", 0), (b'{"a":1,},2]', 0),
        (b"1 2]", 0), (b"]", 0),
        (b"1\n,2]", 4), (b"123456789012345678901,2]", 0),
    ],
)  # fmt: skip
def test_a_run_eats_whole_members(text: bytes, length: int) -> None:
    """A comma or the bracket is behind each; what is too deep, too long or cut off is left."""
    assert len(eaten(IN_ARRAY, text)) == length


def test_a_run_in_an_object_eats_keys_with_their_values() -> None:
    """White space may be around both."""
    assert eaten(IN_OBJECT, b' "a" : 1 ,\n"b":[{}],"c"') == b' "a" : 1 ,\n"b":[{}],'


def test_keys_of_interest_are_left() -> None:
    """Those that fold to a pointer's, are escaped or not ASCII."""
    run = other_members(["n", "Max"])
    for key in (b"n", b"N", b"max", b"MAX", b"\\u006e", b"a\\n", "\u017f".encode()):
        assert eaten(run, b'"a":1,"b":[{}],"%b":2}' % key) == b'"a":1,"b":[{}],'
    assert eaten(run, b'"nn":3,"n":4}') == b'"nn":3,'


@pytest.mark.parametrize("text", [b"0", b"-1", b"1.50", b"1e5", b"-0.1E-7", b"true", b"null"])
def test_scalars(text: bytes) -> None:
    """Numbers as RFC 8259 writes them, and the three names."""
    assert SCALAR.fullmatch(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (b"1,2,", 2), (b"1,2", 2), (b" 1 , 2 ", 2), (b"", 0), (b" ", 0), (b'"a,b","]",', 2),
        (b"[1,2],[[3,4]],", 2), (b'{"a":[1,2],"b":{}},{"c,":1}', 2), (b'"[",1', 2),
    ],
)  # fmt: skip
def test_members_are_counted(text: bytes, count: int) -> None:
    """Commas inside them do not count."""
    assert count_members(text) == count
