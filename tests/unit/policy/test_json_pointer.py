"""Values in JSON bodies, and bodies that say them twice."""

from __future__ import annotations

import pytest

from sidecar.policy.json_pointer import JsonPointer, Missing, Unreadable

RFC_DOCUMENT = (
    b'{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\\\j":5,"k\\"l":6," ":7,"m~n":8}'
)


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/foo", ["bar", "baz"]), ("/foo/0", "bar"), ("/", 0), ("/a~1b", 1), ("/c%d", 2),
        ("/e^f", 3), ("/g|h", 4), ("/i\\j", 5), ('/k"l', 6), ("/ ", 7), ("/m~0n", 8),
    ],
)  # fmt: skip
def test_examples_of_the_rfc(pointer: str, value: object) -> None:
    """RFC 6901, section 5."""
    assert JsonPointer.parse(pointer).find(RFC_DOCUMENT) == value


@pytest.mark.parametrize("pointer", ["", "n", "/a~2", "/a~", "#/n"])
def test_bad_pointers(pointer: str) -> None:
    """A pointer starts with a slash, and '~' is only an escape."""
    with pytest.raises(ValueError, match="JSON pointer"):
        JsonPointer.parse(pointer)


@pytest.mark.parametrize("pointer", ["/x", "/foo/2", "/foo/-", "/foo/00", "/foo/x", "/a~1b/c"])
def test_missing(pointer: str) -> None:
    """What is not there is missing, not an error."""
    assert JsonPointer.parse(pointer).find(RFC_DOCUMENT) == Missing()


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":{"n":1},"a":{"n":2}}',
        b'{"a":{"n":1,"n":2}}',
        b'{"a":{"n":1,"\\u006E":2}}',
        b'{"\\u0061":{"n":1},"a":{}}',
        b'{"a":{"n":1},"A":{}}',
        b'{"a":{"N":1,"N":1}}',
    ],
)
def test_repeated_key_on_the_way(body: bytes) -> None:
    """A key on the pointer's way that is there twice has no one value."""
    assert isinstance(JsonPointer.parse("/a/n").find(body), Unreadable)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":{"n":1},"b":{"n":2,"n":3},"x":"\\u006e"}',
        b'{"b":1,"b":2,"a":{"n":1}}',
        b'{"a":{"n":1},"c":[{"n":2},{"n":3},{"a":4}]}',
    ],
)
def test_repeated_key_elsewhere(body: bytes) -> None:
    """What does not touch the pointer's way is none of our business."""
    assert JsonPointer.parse("/a/n").find(body) == 1


def test_repeated_key_with_other_spellings() -> None:
    """A token with a slash can be written in more ways than characters can be counted."""
    assert isinstance(JsonPointer.parse("/a~1b").find(b'{"a/b":1,"a\\/b":2}'), Unreadable)


def test_way_through_a_list() -> None:
    """Duplicates are looked for in the object that the index leads to, and only there."""
    pointer = JsonPointer.parse("/a/1/n")
    assert pointer.find(b'{"a":[{"n":1,"n":2},{"n":3}]}') == 3
    assert isinstance(pointer.find(b'{"a":[{"n":1},{"n":3,"n":4}]}'), Unreadable)


def test_deep_body_with_a_key_to_look_for_twice() -> None:
    """The second look may give up on a depth that the first one takes; it never raises."""
    body = b'{"x":"\\u006e","n":1,"y":' + b"[" * 1000 + b"]" * 1000 + b"}"
    assert JsonPointer.parse("/n").find(body) == 1 or isinstance(
        JsonPointer.parse("/n").find(body), Unreadable
    )


@pytest.mark.parametrize("pointer", ["/x/y", "/l/5", "/l/y"])
def test_nothing_there_to_be_repeated(pointer: str) -> None:
    """What is missing is missing in the second look as well."""
    body = b'{"x":1,"l":[0],"z":"\\u0078 \\u006c \\u0079 \\u0035"}'
    assert JsonPointer.parse(pointer).find(body) == Missing()
