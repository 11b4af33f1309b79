"""A whole JSON document, as products and clients write it.

Python and JavaScript write half a surrogate pair as an escape, which is JSON (RFC 8259, 8.2), and
Python writes NaN. orjson refuses both, so a client could hide the usage of an answer that has its
text.
"""

from __future__ import annotations

import json
from typing import Final

import orjson

MOST_DIGITS: Final = 128 * 1024
"""Digits outside of strings that Python's parser is given: numbers of thousands of them take it
five times as long as short ones."""

_MOST_QUOTES: Final = 50_000
_DIGITS: Final = b"0123456789"


def document_of(text: bytes) -> object:
    """Parse a document. Raises ValueError for what is none."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    if _digits_in(text) > MOST_DIGITS and _has_long_numbers(text):
        raise ValueError(f"the document has more than {MOST_DIGITS} digits")
    try:
        return json.loads(text.decode("utf-8", "replace"))
    except RecursionError:
        raise ValueError("the document is nested too deeply") from None


def _has_long_numbers(text: bytes) -> bool:
    """Say whether the digits are those of numbers; strings may have as many as they like."""
    text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    if text.count(b'"') > _MOST_QUOTES:
        return True
    return _digits_in(b"".join(text.split(b'"')[::2])) > MOST_DIGITS


def _digits_in(text: bytes) -> int:
    return len(text) - len(text.translate(None, _DIGITS))
