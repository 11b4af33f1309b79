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
