"""The reader of JSON bodies agrees with Python's own, and with itself however it is cut."""

from __future__ import annotations

import json
import re
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.policy.json_pointer import (
    Array,
    JsonPointer,
    Missing,
    Opaque,
    PointerResult,
    Unreadable,
)
from sidecar.policy.json_short import ShortReader
from sidecar.policy.json_text import Piece, pieces_of
from sidecar.policy.json_values import MAX_TEXT
from sidecar.policy.json_walk import MAX_DEPTH
from tests.json_reading import read, read_pieces
from tests.properties.examples import examples

UNREADABLE = Unreadable("")
POINTERS = ("/n", "/a/n", "/a", "/a/0", "/a/1/n", "/", "/N", "/s", "/é", "/ss", '/k"', "/x/y/0/z")
KEYS = (
    "n",
    "N",
    "a",
    "A",
    "",
    "s",
    "\u017f",
    "é",
    "É",
    "ß",
    "ss",
    "0",
    "1",
    'k"',
    "x",
    "y",
    "z",
    "\ud800",
)
SPACES = st.sampled_from(["", "", "", "", " ", "\n", "\t ", "\r\n", "  "])


class Pairs(list[tuple[str, object]]):
    """An object as the pairs that were written, repeated keys included."""


def spelt(text: str, escapes: list[bool]) -> str:
    """Write a string with some characters escaped."""
    written = ""
    for number, char in enumerate(text):
        if (
            char in '"\\'
            or "\ud800" <= char <= "\udfff"
            or (escapes and escapes[number % len(escapes)])
        ):
            units = char.encode("utf-16-be", "surrogatepass")
            written += "".join(
                f"\\u{units[i]:02x}{units[i + 1]:02X}" for i in range(0, len(units), 2)
            )
        else:
            written += char
    return f'"{written}"'


STRINGS = st.builds(
    spelt,
    st.sampled_from(KEYS) | st.text(st.characters(min_codepoint=0x20), max_size=8),
    st.lists(st.booleans(), max_size=3),
) | st.sampled_from(['"\\n\\t\\/\\b"', '"\\\\"', '"\\\\\\""', '"' + "x" * 60 + '"'])
NUMBERS = st.from_regex(r"\A-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,22})?([eE][+-]?[0-9]{1,3})?\Z")
SCALARS = STRINGS | NUMBERS | st.sampled_from(["true", "false", "null", "1", "2"])
MEMBERS = st.builds(spelt, st.sampled_from(KEYS), st.lists(st.booleans(), max_size=2))


def array(parts: list[tuple[str, str, str]]) -> str:
    """Write an array."""
    return "[" + ",".join(before + value + after for before, value, after in parts) + "]"


def an_object(parts: list[tuple[str, str, str, str]]) -> str:
    """Write an object."""
    members = (f"{space}{key}{space}:{more}{value}{more}" for space, key, more, value in parts)
    return "{" + ",".join(members) + "}"


def containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Give arrays and objects of these values."""
    arrays = st.lists(st.tuples(SPACES, inner, SPACES), max_size=5).map(array)
    objects = st.lists(st.tuples(SPACES, MEMBERS, SPACES, inner), max_size=5).map(an_object)
    return arrays | objects | st.sampled_from(["[ ]", "{\n}"])


DOCUMENTS = st.recursive(SCALARS, containers, max_leaves=25).map(lambda text: text.encode())
NOISE = st.sampled_from(
    [b"", b",", b'"', b"{", b"}", b"[", b"]", b"\\", b"\\u", b"\x00", b"\n", b"0", b"-", b".", b"e",
     b"\xff", b"\xc3", b"\xed\xa0\x80", b":", b"\x7f", b" ", b"NaN", b"//", b"\xef\xbb\xbf"]
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Give a document with some bytes replaced."""
    body = draw(DOCUMENTS)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(body)))
        body = body[:at] + draw(NOISE) + body[at + draw(st.integers(0, 2)) :]
    return body


BODIES = DOCUMENTS | damaged()


def no_constant(name: str) -> object:
    """Refuse NaN and Infinity, which Python takes."""
    raise ValueError(name)


def by_python(body: bytes, pointer: str) -> PointerResult:
    """Read a body with the standard library, in UTF-8 alone."""
    if not body:
        return Missing()
    try:
        text = body.decode()
        here: object = json.loads(text, object_pairs_hook=Pairs, parse_constant=no_constant)
    except (ValueError, RecursionError):
        return UNREADABLE
    for token in JsonPointer.parse(pointer).tokens:
        if isinstance(here, Pairs):
            folded = token.casefold()
            members = [(key, value) for key, value in here if key.casefold() == folded]
            if len(members) > 1 or any(key != token for key, _ in members):
                return UNREADABLE
            here = members[0][1] if members else Missing()
        elif isinstance(here, list):
            if not re.fullmatch("0|[1-9][0-9]{0,8}", token) or int(token) >= len(here):
                return Missing()
            here = here[int(token)]
        else:
            return Missing()
    return as_finding(here)


def as_finding(value: object) -> PointerResult:
    """Return what the reader tells of a value."""
    if isinstance(value, Pairs):
        return Opaque()
    if isinstance(value, list):
        return Array(len(value))
    assert value is None or isinstance(value, int | float | str | Missing)
    return value


def plain(findings: tuple[PointerResult, ...]) -> list[tuple[type, PointerResult]]:
    """Return findings with their types, and without the words."""
    return [
        (type(found), UNREADABLE if isinstance(found, Unreadable) else found) for found in findings
    ]


@settings(max_examples=examples(1500))
@given(BODIES)
def test_it_finds_what_python_finds(body: bytes) -> None:
    """Values, what is missing, what is repeated; and it refuses what Python refuses."""
    theirs = plain(tuple(by_python(body, pointer) for pointer in POINTERS))
    assert plain(read(body, *POINTERS).findings) == theirs


PLAIN_POINTERS = ("/n", "/a/n", "/a", "/a/0", "/a/1/n", "/N", "/s", "/ss", "/x/y/0/z")
PLAIN_KEYS = st.sampled_from(["n", "N", "a", "A", "s", "\u017f", "\u1e9e", "0", "x", "y", "z"])
PLAIN_MEMBERS = st.dictionaries(PLAIN_KEYS, st.deferred(lambda: PLAIN_VALUES), max_size=4)
PLAIN_VALUES: st.SearchStrategy[object] = (
    st.integers() | st.floats(allow_nan=False) | st.none() | st.booleans()
    | PLAIN_KEYS | st.text(max_size=5) | st.lists(st.deferred(lambda: PLAIN_VALUES), max_size=3)
    | PLAIN_MEMBERS
)  # fmt: skip
ORDINARY = PLAIN_MEMBERS.map(lambda body: json.dumps(body, ensure_ascii=False))
SHORT_BODIES = BODIES | ORDINARY.map(lambda text: text.encode("utf-8", "surrogatepass"))
WAYS = st.lists(st.sampled_from(PLAIN_POINTERS), min_size=1, max_size=3)


@settings(max_examples=examples(2000))
@given(SHORT_BODIES, WAYS)
def test_what_orjson_reads_is_what_the_reader_reads(body: bytes, pointers: list[str]) -> None:
    """Values and their types; what it may read in another way it leaves to the reader."""
    found = ShortReader([JsonPointer.parse(each) for each in pointers]).read(body)
    assert found is None or plain(found) == plain(read(body, *pointers).findings)


@settings(max_examples=examples(300))
@given(BODIES, st.sampled_from(POINTERS))
def test_one_pointer_finds_what_it_finds_among_others(body: bytes, pointer: str) -> None:
    """Whether it is read alone or in the same walk."""
    alone = read(body, pointer).findings
    assert plain(alone) == plain((by_python(body, pointer),))


@settings(max_examples=examples(500))
@given(
    BODIES,
    st.lists(st.integers(0, 400), max_size=6),
    st.integers(1, 600),
    st.integers(1, 60),
)
def test_no_cut_changes_anything(body: bytes, cuts: list[int], work: int, window: int) -> None:
    """In whatever pieces it comes, and however much is done at once."""
    places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    parts = [body[start:end] for start, end in pairwise(places)]
    pieces = iter([Piece(part, last=n == len(parts)) for n, part in enumerate(parts, 1)])
    cut = read_pieces(pieces, *POINTERS, work=work, window=window).findings
    assert plain(cut) == plain(read(body, *POINTERS).findings)


@settings(max_examples=examples(300))
@given(BODIES, st.integers(1, 40))
def test_single_bytes_change_nothing(body: bytes, window: int) -> None:
    """The smallest pieces that there are."""
    single = read_pieces(pieces_of(body, 1), *POINTERS, work=1, window=window).findings
    assert plain(single) == plain(read(body, *POINTERS).findings)


@settings(max_examples=examples(200))
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """Never more is accepted than Python accepts, whatever comes."""
    assert plain(read(body, "/n").findings) == plain((by_python(body, "/n"),))


@given(st.integers(1, MAX_DEPTH + 3), st.sampled_from(["[{}]", "{}", "[]", "1"]))
def test_depth_is_a_matter_of_the_document(depth: int, inner: str) -> None:
    """Not of how it is cut."""
    body = ("[" * depth + inner + "]" * depth).encode()
    total = depth + inner.count("[") + inner.count("{")
    for work, piece, window in ((1, 1, 1), (512, 8192, 2048), (7, 50, 9)):
        found = read_pieces(pieces_of(body, piece), "/n", work=work, window=window).findings[0]
        assert isinstance(found, Unreadable) is (total > MAX_DEPTH)


@given(st.integers(MAX_TEXT - 4, MAX_TEXT + 4), st.sampled_from([b"x", b"\\n"]))
def test_the_longest_name_is_a_matter_of_the_document(size: int, char: bytes) -> None:
    """Not of how it is cut."""
    text = b'"' + (char * size)[: size - 2] + b'"'
    if text.endswith(b'\\"'):
        text = text[:-2] + b'x"'
    for work, piece, window in ((1, 1, 1), (512, 8192, 4096), (7, 50, 9)):
        pieces = pieces_of(b'{"n":%b}' % text, piece)
        found = read_pieces(pieces, "/n", work=work, window=window).findings[0]
        assert isinstance(found, Opaque if len(text) > MAX_TEXT else str)
