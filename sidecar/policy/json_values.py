"""The scalar values of JSON bodies, from the bytes that are checked already."""

from __future__ import annotations

import json
from typing import Final

from sidecar.policy.json_pointer import JsonValue, Opaque

MAX_TEXT: Final = 4096
"""Bytes, as written, of a text that is compared with names."""

_NAMES: Final = {b"true": True, b"false": False, b"null": None}


def decoded_string(raw: bytes) -> str:
    """Decode a short string, in its quotation marks; a lone surrogate stays one."""
    if b"\\" not in raw:
        return raw[1:-1].decode()
    text: str = json.loads(raw)
    return text


def scalar_of(raw: bytes) -> JsonValue:
    """Return the value of a string, a number or a name."""
    if raw in _NAMES:
        return _NAMES[raw]
    if raw.startswith(b'"'):
        return decoded_string(raw) if len(raw) <= MAX_TEXT else Opaque()
    return float(raw) if raw.translate(None, b"-0123456789") else int(raw)
