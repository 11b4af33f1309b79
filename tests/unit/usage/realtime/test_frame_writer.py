"""Frames of our own, read by an independent library."""

from __future__ import annotations

import json

import pytest
from openai.types.realtime import RealtimeErrorEvent
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side

from sidecar.usage.realtime.frame_writer import (
    POLICY_VIOLATION,
    Refusal,
    close_frame,
    error_event,
    text_frame,
)


def read(written: bytes) -> list[Frame]:
    """Read frames as a client does."""
    protocol = Protocol(Side.CLIENT, max_size=None)
    protocol.receive_data(written)
    assert protocol.parser_exc is None
    return [event for event in protocol.events_received() if isinstance(event, Frame)]


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_text_is_one_frame(size: int) -> None:
    """In each of the three forms of a length."""
    (frame,) = read(text_frame(b"a" * size))
    assert (frame.opcode, frame.fin, bytes(frame.data)) == (Opcode.TEXT, True, b"a" * size)


def test_a_close_has_its_code_and_a_reason_that_fits() -> None:
    """A control frame holds 125 bytes; a character is not cut in two."""
    (frame,) = read(close_frame(POLICY_VIOLATION, "é" * 100))
    assert bytes(frame.data) == b"\x03\xf0" + "é".encode() * 61


def test_the_error_is_the_apis_own_event() -> None:
    """The SDK reads it as its type."""
    refusal = Refusal("insufficient_quota", "insufficient_quota", "The quota is spent.")
    (frame,) = read(error_event(refusal, number=1, caused_by="e7"))
    event = RealtimeErrorEvent.model_validate(json.loads(bytes(frame.data)), strict=True)
    assert event.error.code == "insufficient_quota"
    assert event.error.message == "The quota is spent."
    assert event.error.event_id == "e7"
