"""Which short bodies orjson reads, and which are left to the reader."""

from __future__ import annotations

import orjson
import pytest

from sidecar.policy.json_pointer import Array, JsonPointer, Missing, Opaque, PointerResult
from sidecar.policy.json_short import LONGEST, ShortReader
from sidecar.policy.json_values import MAX_TEXT
from sidecar.policy.json_walk import MAX_DEPTH, MAX_NUMBER


def short(body: bytes, *pointers: str) -> tuple[PointerResult, ...] | None:
    """Read a body along pointers, if it is one for orjson."""
    return ShortReader([JsonPointer.parse(each) for each in pointers]).read(body)


def test_all_pointers_are_read_at_once() -> None:
    """As the reader finds them."""
    body = b'{"n":2,"model":"big","messages":[{"x":1},{}],"o":{"y":null},"s":true}'
    assert short(body, "/n", "/model", "/messages", "/messages/0/x", "/o", "/o/y", "/s", "/q") == (
        2, "big", Array(2), 1, Opaque(), None, True, Missing(),
    )  # fmt: skip


@pytest.mark.parametrize("way", ["/messages/2", "/messages/x", "/messages/00", "/n/x"])
def test_what_a_way_does_not_reach_is_missing(way: str) -> None:
    """Beyond an array's end, by no index, and through a number."""
    assert short(b'{"messages":[1,2],"n":1}', way) == (Missing(),)


@pytest.mark.parametrize(
    "body",
    [
        b'{"n":1,"n":2}', b'{"n":1,"N":2}', b'{"N":1}', b'{"n":1,"\\u006e":2}', b'{"n":1.0}',
        b'{"n":18446744073709551616}', b'{"n":"' + b"x" * MAX_TEXT + b'"}', b'{"x":"\xff","n":1}',
        b'{"n":NaN}', b'{"n":1', b"\xef\xbb\xbf{}", b" ",
        b'{"x":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b',"n":1}',
        b'{"x":0.' + b"1" * MAX_NUMBER + b',"n":1}',
        b'{"n":1,"x":"' + b"x" * LONGEST + b'"}',
    ],
)  # fmt: skip
def test_a_body_that_could_be_read_in_another_way_is_left_to_the_reader(body: bytes) -> None:
    """Whether it refuses it, or finds another value than orjson."""
    assert short(body, "/n") is None


def test_a_key_in_another_case_is_seen_in_any_script() -> None:
    """A long s is an s in another case."""
    assert short('{"s":1,"\u017f":2}'.encode(), "/s") is None
    assert short('{"s":1,"x":{"\u017f":2}}'.encode(), "/s") == (1,)


@pytest.mark.parametrize("pointer", ["/a~1b", "/é", '/"', "/", "/a b"])
def test_steps_that_are_no_plain_words_are_left_to_the_reader(pointer: str) -> None:
    """They can be written in several ways."""
    assert short(b'{"n":1}', pointer) is None


def test_escapes_in_texts_are_no_hindrance() -> None:
    """Prompts are full of them; only those by number could hide a key."""
    assert short(b'{"x":"a\\n\\"n\\":3\\\\","n":2}', "/n") == (2,)


def test_a_long_conversation_is_read_at_once() -> None:
    """It has many arrays and objects, but few in each other."""
    message = {"role": "user", "content": [{"type": "text", "text": 'say "{[" \\ ' * 5}]}
    body = orjson.dumps({"messages": [message] * 100, "n": 3})
    assert short(body, "/n", "/messages") == (3, Array(100))


def test_a_number_just_too_long_is_found_wherever_it_stands() -> None:
    """Whatever is before it."""
    number = b"0." + b"1" * (MAX_NUMBER - 1)
    for before in range(0, 2048, 31):
        body = b'{"x":"%b","y":%b}' % (b"a" * before, number)
        assert orjson.loads(body)
        assert short(body, "/n") is None
