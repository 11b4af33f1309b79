"""Documents that products and clients write, and that are not quite one parser's JSON."""

from __future__ import annotations

import pytest

from sidecar.usage.json_document import document_of


@pytest.mark.parametrize(
    ("text", "document"),
    [
        (b'{"a":[1,"x"]}', {"a": [1, "x"]}),
        (b'{"a":"\\ud800"}', {"a": "\ud800"}),
        (b'{"a":-Infinity}', {"a": float("-inf")}),
        (b'{"a":"\xff"}', {"a": "\ufffd"}),
        (b'{"a":1,"a":2}', {"a": 2}),
    ],
)
def test_what_products_write_is_read(text: bytes, document: object) -> None:
    """Also where orjson refuses it."""
    assert document_of(text) == document


@pytest.mark.parametrize("text", [b"", b"[DONE]", b'{"a":1', b"{a:1}", b"[" * 200_000])
def test_what_is_no_document_is_a_value_error(text: bytes) -> None:
    """However deep it is nested."""
    with pytest.raises(ValueError, match=r"."):
        document_of(text)


@pytest.mark.parametrize(
    ("before", "number", "refused"),
    [
        (b"1", b"9" * 4_000, True),  # an integer that orjson does not read
        (b"NaN", b"1." + b"9" * 20 + b"e-300", True),
        (b"NaN", b'"' + b"9" * 4_000 + b'"', False),
        (b"NaN", b'"\\"' + b"9" * 4_000 + b'\\\\"', False),
        (b"NaN", b"1.5", False),
    ],
)
def test_long_numbers_do_not_hold_the_loop(before: bytes, number: bytes, *, refused: bool) -> None:
    """A megabyte took 17 ms: a client may put them into the tools that an answer repeats."""
    numbers = b",".join([number] * min(40_000, 1_000_000 // len(number)))
    text = b'{"a":[' + before + b"," + numbers + b"]}"
    if refused:
        with pytest.raises(ValueError, match="digits"):
            document_of(text)
    else:
        assert isinstance(document_of(text), dict)
