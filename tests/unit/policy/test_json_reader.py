"""Values in JSON bodies, bodies that say them twice, and what reading them costs at once."""

from __future__ import annotations

import gc
import json
import sys
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

import pytest

from sidecar.policy.json_pointer import (
    Array,
    JsonPointer,
    Missing,
    Opaque,
    PointerResult,
    Unreadable,
)
from sidecar.policy.json_reader import WORK, JsonReader
from sidecar.policy.json_text import Piece, pieces_of
from sidecar.policy.json_values import MAX_TEXT
from sidecar.policy.json_walk import MAX_DEPTH, MAX_NUMBER
from tests.json_reading import find, read

RFC_DOCUMENT = (
    b'{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\\\j":5,"k\\"l":6," ":7,"m~n":8}'
)
SIZE = 1 << 18


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/foo", Array(2)), ("/foo/0", "bar"), ("/", 0), ("/a~1b", 1), ("/c%d", 2),
        ("/e^f", 3), ("/g|h", 4), ("/i\\j", 5), ('/k"l', 6), ("/ ", 7), ("/m~0n", 8),
    ],
)  # fmt: skip
def test_examples_of_the_rfc(pointer: str, value: PointerResult) -> None:
    """RFC 6901, section 5."""
    assert find(RFC_DOCUMENT, pointer) == value


@pytest.mark.parametrize("pointer", ["/x", "/foo/2", "/foo/-", "/foo/00", "/foo/x", "/a~1b/c"])
def test_missing(pointer: str) -> None:
    """What is not there is missing, not an error."""
    assert find(RFC_DOCUMENT, pointer) == Missing()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"12", 12), (b"-0", 0), (b"1.0", 1.0), (b"1e2", 100.0), (b"1e999", float("inf")),
        (b"true", True), (b"false", False), (b"null", None), (b"{}", Opaque()),
        (b'{"a":[1]}', Opaque()), (b"[]", Array(0)), (b"[ ]", Array(0)), (b'"a"', "a"),
        (b'"\\u0041\\n\\"\\\\\\/"', 'A\n"\\/'), ('"é漢"'.encode(), "é漢"),
        (b'"\\ud83d\\ude00"', "😀"), (b'"' + b"x" * (MAX_TEXT - 2) + b'"', "x" * (MAX_TEXT - 2)),
        (b'"' + b"x" * (MAX_TEXT - 1) + b'"', Opaque()), (b'"' + b"x" * 99_999 + b'"', Opaque()),
        (b"1" * MAX_NUMBER, int("1" * MAX_NUMBER)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("frame", [b'{"n":%b}', b'{"a":1, "n" : %b ,\n"b":[2]}', b'{"\\u006e":%b}'])
def test_values(text: bytes, value: PointerResult, frame: bytes) -> None:
    """Numbers, names and literals are read; of containers only what they are, and a length."""
    found = find(frame % text, "/n")
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":{"n":1},"a":{"n":2}}',
        b'{"a":{"n":1},"a":7}',
        b'{"a":{"n":1,"n":2}}',
        b'{"a":{"n":1,"x":{},"n":{}}}',
        b'{"a":{"n":1,"\\u006E":2}}',
        b'{"\\u0061":{"n":1},"a":{}}',
        b'{"a":{"n":1},"A":{}}',
        b'{"a":{"N":1,"N":1}}',
        b'{"a":{"n":1,"\\u004e":1}}',
    ],
)
def test_repeated_key_on_the_way(body: bytes) -> None:
    """A key on the pointer's way that is there twice has no one value."""
    assert isinstance(find(body, "/a/n"), Unreadable)


@pytest.mark.parametrize(
    ("pointer", "key"),
    [("/s", "\u017f"), ("/k", "\u212a"), ("/ß", "ss"), ("/ss", "ß"), ("/É", "é")],
)
def test_case_is_not_only_that_of_ascii(pointer: str, key: str) -> None:
    """Keys that some folding takes for the same are refused, escaped or not."""
    for spelt in (key, "".join(f"\\u{ord(char):04x}" for char in key)):
        assert isinstance(find(f'{{"{spelt}":1}}'.encode(), pointer), Unreadable)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":{"n":1},"b":{"n":2,"n":3},"x":"\\u006e"}',
        b'{"b":1,"b":2,"a":{"n":1}}',
        b'{"a":{"n":1},"c":[{"n":2},{"n":3},{"a":4}]}',
        b'{"b":[[[[{"a":{"n":5}}]]]],"a":{"n":1}}',
    ],
)
def test_repeated_key_elsewhere(body: bytes) -> None:
    """What does not touch the pointer's way does not matter."""
    assert find(body, "/a/n") == 1


def test_repeated_key_with_other_spellings() -> None:
    """A token with a slash can be written in more ways than one."""
    assert isinstance(find(b'{"a/b":1,"a\\/b":2}', "/a~1b"), Unreadable)


def test_way_through_a_list() -> None:
    """Duplicates are looked for in the object that the index leads to, and only there."""
    assert find(b'{"a":[{"n":1,"n":2},{"n":3}]}', "/a/1/n") == 3
    assert isinstance(find(b'{"a":[{"n":1},{"n":3,"n":4}]}', "/a/1/n"), Unreadable)


@pytest.mark.parametrize("pointer", ["/x/y", "/l/5", "/l/y"])
def test_nothing_there_to_be_repeated(pointer: str) -> None:
    """Escapes elsewhere change nothing."""
    body = b'{"x":1,"l":[0],"z":"\\u0078 \\u006c \\u0079 \\u0035"}'
    assert find(body, pointer) == Missing()


def test_several_pointers_are_read_in_one_walk() -> None:
    """Each has its own finding; what spoils one leaves the others."""
    body = b'{"n":2,"a":{"n":3,"n":4},"p":["x","y",[]],"N":1}'
    findings = read(body, "/a/n", "/p", "/p/2", "/q", "/p/1").findings
    assert isinstance(findings[0], Unreadable)
    assert findings[1:] == (Array(3), Array(0), Missing(), "y")
    assert isinstance(find(body, "/n"), Unreadable)


def test_a_pointer_may_end_on_anothers_way() -> None:
    """The array is counted, and its element read."""
    assert read(b'{"p":[{"n":7},1,2]}', "/p", "/p/0/n").findings == (Array(3), 7)


@pytest.mark.parametrize(
    "body",
    [
        b" ", b"{", b"}", b"[", b"]", b'"', b'{"n":1', b'{"n":1}}', b'{"n":1}{"n":1}', b'{"n":1,}',
        b'{"n":1 , }', b'{,"n":1}', b'{"n":1,,"a":2}', b'{"n" 1}', b'{"n":}', b'{"n"}', b"{n:1}",
        b"{'n':1}", b'{"n":1 "a":2}', b'{"n":1,"a":[1,]}', b'{"n":1,"a":[1, ]}',
        b'{"n":1,"a":[,1]}', b'{"n":1,"a":[ ,1]}', b'{"n":1,"a":[1 2]}',
        b'{"n":1,"a":[1}}', b'{"n":1,"a":{"b":1]}',
        b'{"n":1,"a":{"b":1,}}', b'{"n":1,"a":[[1,],2]}', b'{"n":1,"a":{"b":[{"c":[,]}]}}',
        b'{"n":01}', b'{"n":+1}', b'{"n":1.}', b'{"n":.5}', b'{"n":1e}', b'{"n":0x1}', b'{"n":1_0}',
        b'{"n":-}', b'{"n":NaN}', b'{"n":Infinity}', b'{"n":-Infinity}', b'{"n":True}',
        b'{"n":tru}', b'{"n":truex}', b'{"n":1/**/}', b'{"n":1}//',
        b'\xef\xbb\xbf{"n":1}', b'{"n":1}\x00',
        b'{"n":"a\n"}', b'{"n":"\\\\\n"}', b'{"n":"\\n\t"}', b'{"a":1,"n":"\\"\n"}',
        b'{"n":1,"a":"\x00"}', b'{"n":1,"a":"\n"}', b'{"n":1,"a":"\t"}', b'{"n":1,"a\n":1}',
        b'{"n":1,"a":[[[["\n"]]]]}', b'{"n":1,\x0b"a":1}', b'{"n":1,\x0c"a":1}',
        b'{"n":1,\xa0"a":1}',
        b'{"n":1,"a":"\\x"}', b'{"n":1,"a":"\\u12"}', b'{"n":1,"a":"\\u12g4"}', b'{"n":1,"a":"\\',
        b'{"n":1,"a":"\\"}', b'{"n":1,"a":"\\U0041"}', b'{"n":1,\\n"a":1}', b'{"n":1}\\n', b'\\"',
        b'{"n":1,"a":"\xff"}', b'{"n":1,"a":"\xc3"}', b'{"n":1,"a":"\xc0\x80"}',
        b'{"n":1,"a":"\xed\xa0\x80"}', b'{"n":1,"a":"\xf4\x90\x80\x80"}',
        b'{"n":1}\xff', b"\xff\xff",
        '{"n":1}'.encode("utf-16"), '{"n":1}'.encode("utf-16-le"),
        b'{"n":' + b"1" * (MAX_NUMBER + 1) + b"}", b'{"n":1,"a":0.' + b"1" * SIZE + b"}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("piece", [1, 8192])
def test_what_is_not_strict_json_is_unreadable(body: bytes, piece: int) -> None:
    """Also in what is skipped: a lenient parser could read other text out of it."""
    assert isinstance(read(body, "/n", piece=piece).findings[0], Unreadable)


@pytest.mark.parametrize(
    "body",
    [
        b'{"n":1,"\\ud800":"\\udc00"}',
        b'{"\\ud800":"x","n":1}',
        b'{"n":1,"a":"\x7f\xc2\xa0\xe2\x80\xa8"}',
        b' \r\n\t{ "n"\n:\t1 } \n',
        b'{"n":1,"a":[1,-2.5e-7,"",true,false,null,{},[]]}',
    ],
)
def test_odd_but_strict_json_is_read(body: bytes) -> None:
    """A lone surrogate among them, which RFC 8259 (section 8.2) allows."""
    assert find(body, "/n") == 1


@pytest.mark.parametrize("body", [b"1", b'"n"', b"null", b"[1]", b" -1.5e3 ", b""])
def test_a_document_without_a_member_has_nothing_there(body: bytes) -> None:
    """It is JSON all the same; so is a body of no bytes taken for none."""
    assert find(body, "/n") == Missing()


def nested(depth: int, inner: bytes = b"1") -> bytes:
    """Put arrays inside each other, the outermost in an object."""
    return b'{"x":' + b"[" * (depth - 1) + inner + b"]" * (depth - 1) + b',"n":1}'


@pytest.mark.parametrize("inner", [b"1", b'"a"', b"null"])
@pytest.mark.parametrize("work", [1, WORK])
def test_depth_is_bounded_wherever_slices_end(inner: bytes, work: int) -> None:
    """To 128 a body is read, to 129 it is not."""
    assert read(nested(MAX_DEPTH, inner), "/n", work=work).findings == (1,)
    assert isinstance(read(nested(MAX_DEPTH + 1, inner), "/n", work=work).findings[0], Unreadable)
    assert read(nested(MAX_DEPTH - 1, b"{}"), "/n", work=work).findings == (1,)
    assert isinstance(read(nested(MAX_DEPTH, b"{}"), "/n", work=work).findings[0], Unreadable)


def filled(head: bytes, item: bytes, tail: bytes) -> bytes:
    """Return a body of 256 KiB."""
    return head + item * ((SIZE - len(head) - len(tail)) // len(item)) + tail


HOSTILE = {
    "objects": filled(b'{"x":[{}', b",{}", b'],"y":"n","n":16}'),
    "arrays": filled(b'{"x":[[]', b",[]", b'],"n":16}'),
    "nested": filled(b'{"x":[1', b",[[[[]]]]", b'],"n":16}'),
    "deep": filled(b'{"x":[1', b"," + b"[" * 120 + b"]" * 120, b'],"n":16}'),
    "too deep after much": filled(b'{"x":[1', b",[[" + b"1," * 900 + b"[[[]]]]]", b'],"n":16}'),
    "spaces, then too deep": filled(b'{"x":[1', b",[[" + b" " * 900 + b"[[[]]]]]", b'],"n":16}'),
    "keys": b"{" + b",".join(b'"k%d":1' % n for n in range(25_000)) + b',"n":16}',
    "escaped keys": filled(b'{"x":1', b',"\\u0061":0', b',"n":16}'),
    "repeated keys": filled(b'{"n":1', b',"n":1', b"}"),
    "keys in another case": filled(b'{"n":1', b',"N":1', b"}"),
    "line ends": filled(b'{"x":"', b"\\n", b'","n":16}'),
    "escapes": filled(b'{"x":"', b"\\u0041", b'","n":16}'),
    "quotation marks": filled(b'{"x":"', b'\\"', b'","n":16}'),
    "short texts": filled(b'{"x":[""', b',"\\""', b'],"n":16}'),
    "numbers": filled(b'{"x":[1', b",1", b'],"n":16}'),
    "long numbers": filled(b'{"x":[1', b"," + b"1" * 21, b'],"n":16}'),
    "a long key": b'{"' + b"k" * SIZE + b'":1,"n":16}',
    "a long text": b'{"x":"' + b"t" * SIZE + b'","n":16}',
    "CJK": filled(b'{"x":"', "漢".encode(), b'","n":16}'),
    "white space": b"{" + b" " * SIZE + b'"n":16}',
    "line ends between": filled(b'{"x":[\n1', b',\n {"a": 1,\n "b": "x"}', b'],"n":16}'),
}


@dataclass
class Slice:
    """What was done before the reader gave way: calls of functions, and pieces taken."""

    calls: int = 0
    pieces: int = 0


def slices_of(body: bytes) -> list[Slice]:
    """Read a body to its end, and count what each slice does."""
    slices = [Slice()]

    def count(_frame: FrameType, event: str, _arg: object) -> None:
        if event in {"call", "c_call"}:
            slices[-1].calls += 1

    def taken() -> Iterator[Piece]:
        for piece in pieces_of(body):
            slices[-1].pieces += 1
            yield piece

    reading = JsonReader([JsonPointer.parse("/n")]).read(taken())
    next(JsonReader([JsonPointer.parse("/n")]).read(pieces_of(body)), None)  # compiles
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        while next(reading, reading) is None:
            slices.append(Slice())
    finally:
        sys.setprofile(before)
    return slices


@pytest.mark.parametrize("name", HOSTILE)
def test_the_work_of_a_slice_is_bounded(name: str) -> None:
    """Whatever comes: so many calls, so many bytes, and so many members."""
    body = HOSTILE[name]
    slices = slices_of(body)
    assert max(each.calls for each in slices) < 1500
    assert max(each.pieces for each in slices) <= 12
    assert len(slices) > body.count(b",") / 1600  # WORK, and what one more run may eat


def test_an_ordinary_body_is_read_in_its_first_slice() -> None:
    """So that its call does not wait: a question of 7 KB, or one of 1 KB with line ends."""
    messages = [{"role": "user", "content": "Why is the sky blue?\n" * 85} for _ in range(4)]
    request = {"model": "m", "messages": messages, "n": 2}
    assert len(slices_of(json.dumps(request).encode())) == 1
    request["messages"] = messages[:1]
    assert len(slices_of(json.dumps(request, indent=2).encode())) == 1


@pytest.mark.parametrize("body", [b'{"n":1}', b'{"n":', b'{"x":' + b"[" * (2 * MAX_DEPTH)])
def test_nothing_of_a_body_is_kept_until_the_collector_runs(body: bytes) -> None:
    """Ten callers of refused bodies once left hundreds of MiB to it."""
    source = pieces_of(body, 4)
    trace = weakref.ref(source)
    gc.disable()
    try:
        reading = JsonReader([JsonPointer.parse("/n")]).read(source)
        for _ in reading:
            pass
        del source, reading
        assert trace() is None
    finally:
        gc.enable()
