"""A whole JSON document, as products and clients write it.

Python and JavaScript write half a surrogate pair as an escape, which is JSON (RFC 8259, 8.2), and
Python writes NaN. orjson refuses both, so a client could hide the usage of an answer that has its
text.
"""

from __future__ import annotations

import json

import orjson


def document_of(text: bytes) -> object:
    """Parse a document. Raises ValueError for what is none."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(text.decode("utf-8", "replace"))
    except RecursionError:
        raise ValueError("the document is nested too deeply") from None
