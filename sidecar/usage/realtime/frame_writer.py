"""Writes the frames that the sidecar sends to a client itself: not masked and not compressed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import orjson

from sidecar.usage.realtime.frame_parts import Opcode

PROTOCOL_ERROR: Final = 1002
POLICY_VIOLATION: Final = 1008
INTERNAL_ERROR: Final = 1011
TRY_AGAIN_LATER: Final = 1013
"""Codes of a close (RFC 6455, 7.4.1; the last is in its registry)."""

_LONGEST_REASON: Final = 123
_FINAL: Final = 0x80


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a response is refused, in the words of the API's error: its `type`, `code`, `message`.

    `close`: the code of the close that follows.
    """

    type: str
    code: str
    message: str
    close: int = POLICY_VIOLATION


def text_frame(text: bytes) -> bytes:
    """Write a text message as one frame."""
    return _frame(Opcode.TEXT, text)


def close_frame(code: int, reason: str) -> bytes:
    """Write a close; a reason that is too long is cut."""
    cut = reason.encode("utf-8", "replace")[:_LONGEST_REASON].decode("utf-8", "ignore")
    return _frame(Opcode.CLOSE, code.to_bytes(2, "big") + cut.encode())


def error_event(refusal: Refusal, *, number: int, caused_by: str | None) -> bytes:
    """Write the API's `error` event as a frame; `caused_by`: the client's event of that ID.

    Source: developers.openai.com/api/reference/resources/realtime/server-events, `error`.
    """
    event = {
        "type": "error",
        "event_id": f"event_sidecar_{number}",
        "error": {
            "type": refusal.type,
            "code": refusal.code,
            "message": refusal.message,
            "param": None,
            "event_id": caused_by,
        },
    }
    return text_frame(orjson.dumps(event))


def _frame(opcode: Opcode, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:  # noqa: PLR2004
        length = bytes([size])
    elif size <= 0xFFFF:  # noqa: PLR2004
        length = b"\x7e" + size.to_bytes(2, "big")
    else:
        length = b"\x7f" + size.to_bytes(8, "big")
    return bytes([_FINAL | opcode]) + length + payload
