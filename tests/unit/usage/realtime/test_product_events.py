"""Events of the OpenAI Realtime API's server, and what they do to the turns of a connection."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sidecar.domain.usage import MissingCause, Tokens, Usage
from sidecar.usage.realtime.commands import ChargeTranscript, SocketCommand
from sidecar.usage.realtime.product_events import ProductEvents, is_idle

USAGE = {  # the example of the API reference
    "total_tokens": 253,
    "input_tokens": 132,
    "output_tokens": 121,
    "input_token_details": {
        "text_tokens": 119,
        "audio_tokens": 13,
        "image_tokens": 0,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}

TRANSCRIBED = "conversation.item.input_audio_transcription.completed"
TRANSCRIPT_USAGE = {
    "type": "tokens",
    "total_tokens": 17,
    "input_tokens": 13,
    "input_token_details": {"text_tokens": 0, "audio_tokens": 13},
    "output_tokens": 4,
}


class RecordedTurns:
    """What is done to the turns."""

    def __init__(self) -> None:
        self.model: str | None = None
        self.steps: list[tuple[object, ...]] = []

    def created(self, response_id: str) -> None:
        self.steps.append(("created", response_id))

    def sent(self, response_id: str, size: int) -> None:
        self.steps.append(("sent", response_id, size))

    def done(self, response_id: str, tokens: Tokens | None, *, failed: bool) -> list[SocketCommand]:
        self.steps.append(("done", response_id, tokens, failed))
        return []

    def rejected(self, event_id: str | None, **of: bool) -> list[SocketCommand]:
        self.steps.append(("rejected", event_id, of))
        return []


def taken(*events: bytes) -> tuple[RecordedTurns, list[SocketCommand]]:
    """Take events; return what they do, and the commands that follow from the last one."""
    turns: Any = RecordedTurns()
    product, commands = ProductEvents(turns), []
    for event in events:
        commands = product.take(event)
    return turns, commands


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"type": "response.created", "response": {"id": "r1"}}, [("created", "r1")]),
        (
            {"type": "response.done", "response": {"id": "r1", "usage": USAGE}},
            [("created", "r1"), ("done", "r1", Tokens(68, 64, 0, 121), False)],
        ),
        (
            {"type": "response.done", "response": {"id": "r1", "status": "failed"}},
            [("created", "r1"), ("done", "r1", None, True)],
        ),
        (
            {"type": "response.done", "response": {"id": "r", "usage": {"input_tokens": True}}},
            [("created", "r"), ("done", "r", None, False)],
        ),
        ({"type": "response.done"}, [("created", ""), ("done", "", None, False)]),
        (
            {"type": "response.output_text.delta", "response_id": "r1", "delta": "é"},
            [("sent", "r1", 2)],
        ),
        (
            {"type": "response.output_audio_transcript.delta", "response_id": "r", "delta": "ab"},
            [("sent", "r", 2)],
        ),
        ({"type": "response.output_audio.delta", "response_id": "r", "delta": "AAAA"}, []),
        ({"type": "response.output_text.delta", "delta": 1}, []),
        (
            {"type": "error", "error": {"type": "server_error", "event_id": "e1", "code": "x"}},
            [("rejected", "e1", {"of_create": False, "failed": True})],
        ),
        (
            {"type": "error", "error": {"code": "conversation_already_has_active_response"}},
            [("rejected", None, {"of_create": True, "failed": False})],
        ),
        ({"type": "error"}, []),
        ({"type": "session.updated", "session": []}, []),
        ({"type": "rate_limits.updated"}, []),
        ([], []),
    ],
)
def test_an_event_of_the_server_says_what_is_metered(
    event: object, expected: list[tuple[object, ...]]
) -> None:
    """What has not the documented shape says nothing, or as much as it has."""
    assert taken(json.dumps(event).encode())[0].steps == expected


def test_a_session_names_the_model_of_its_responses() -> None:
    """One that names none changes nothing."""
    created = b'{"type":"session.created","session":{"model":"m"}}'
    assert taken(created, b'{"type":"session.updated","session":{}}')[0].model == "m"


@pytest.mark.parametrize(
    ("event", "tokens", "size"),
    [
        ({"transcript": "Hall\u00f6", "usage": TRANSCRIPT_USAGE}, Tokens(13, 0, 0, 4), 6),
        ({"transcript": "a", "usage": {"type": "duration", "seconds": 2}}, None, 1),
        ({"transcript": 7}, None, 0),
    ],
)
@pytest.mark.parametrize(
    "session",
    [
        {"audio": {"input": {"transcription": {"model": "w"}}}},
        {"input_audio_transcription": {"model": "w"}},
    ],
)
def test_a_transcript_is_charged_by_the_sessions_transcriber(
    session: object, event: dict[str, object], tokens: Tokens | None, size: int
) -> None:
    """Of today's shape and of the beta's; seconds are no tokens."""
    events = ({"type": "session.updated", "session": session}, {"type": TRANSCRIBED, **event})
    missing = MissingCause.ABSENT if tokens is None else None
    _, commands = taken(*(json.dumps(each).encode() for each in events))
    assert commands == [ChargeTranscript(Usage(tokens, None, "w", size, missing))]


def test_a_client_s_text_does_not_hide_the_end_of_its_response() -> None:
    """Its metadata are in the answer: half a surrogate pair is JSON that orjson refuses."""
    response = {"id": "r", "metadata": {"x": "\ud800"}, "usage": {"output_tokens": 7}}
    done = {"type": "response.done", "response": response}
    assert taken(json.dumps(done).encode())[0].steps == [
        ("created", "r"),
        ("done", "r", Tokens(output=7), False),
    ]
    delta = {"type": "response.output_text.delta", "response_id": "r", "delta": "\ud800"}
    assert taken(json.dumps(delta).encode())[0].steps == [("sent", "r", 3)]


def test_what_is_no_json_is_no_event() -> None:
    """The product's text is data, never an error."""
    assert taken(b"{")[0].steps == []


@pytest.mark.parametrize(
    ("event", "idle"),
    [
        (b'{"type":"session.created","session":{}}', True),
        (b'{"type":"error"}', True),
        (b'{"type":"conversation.item.input_audio_transcription.completed"}', False),
        (b'{"type":["error"]}', False),
        (b"[]", False),
        (b"text", False),
    ],
)
def test_only_events_of_the_session_say_that_nothing_was_done(event: bytes, *, idle: bool) -> None:
    """What is not known may have cost something."""
    assert is_idle(event) is idle
