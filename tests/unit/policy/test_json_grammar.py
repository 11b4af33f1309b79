"""What the expressions eat in one match."""

from __future__ import annotations

import re

import pytest

from sidecar.policy.json_grammar import COMPACT, SCALAR, SPACED, count_members, runs_beside


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
        (b'"\n",1]', 5), (b"1\n,2]", 4), (b"123456789012345678901,2]", 0),
    ],
)  # fmt: skip
def test_a_run_eats_whole_members(text: bytes, length: int) -> None:
    """A comma or the bracket is behind each; what is too deep, too long or cut off is left."""
    assert len(eaten(COMPACT.arrays, text)) == length


def test_a_string_with_a_line_end_is_left() -> None:
    """Where there are line ends, each string is looked at."""
    assert eaten(SPACED.arrays, b'"a",\n"\n"]') == b'"a",\n'


@pytest.mark.parametrize("spaced", [False, True])
def test_keys_of_interest_are_left_but_for_one(*, spaced: bool) -> None:
    """Those that fold to a pointer's, are escaped or not ASCII are read alone."""
    run = runs_beside(["n", "Max"], spaced=spaced)
    for key in (b"N", b"max", b"MAX", b"\\u006e", b"a\\n", "\u017f".encode()):
        assert eaten(run, b'"a":1,"b":[{}],"%b":2}' % key) == b'"a":1,"b":[{}],'
    match = run.match(b'"a":1,"n":2,"nn":3,"n":4}')
    assert match is not None
    assert match.groups() == (b"n", b"2")
    assert match[0] == b'"a":1,"n":2,"nn":3,'
    assert eaten(run, b'"n":{},"a":1}') == b""


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
