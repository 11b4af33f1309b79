"""Events of the OpenAI Realtime API, as far as they are metered."""

from __future__ import annotations

import json

import pytest

from sidecar.domain.usage import Tokens
from sidecar.usage.realtime.events import (
    CreateEvent,
    ErrorNamed,
    ModelNamed,
    ResponseCreated,
    ResponseDone,
    ResponseText,
    ServerEvent,
    Transcribed,
    create_event,
    is_idle,
    server_event,
)

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


@pytest.mark.parametrize(
    ("text", "event_id"),
    [
        ('{"type":"response.create","event_id":"e1"}', "e1"),
        ('{"event_id":7,"response":{"type":"x"}, "type" : "response.create"}', None),
        (r'{"t\u0079pe":"response\u002ecreate"}', None),
        ('{"type":"response.create","type":"response.cancel"}', None),
        ('{"type":"response.cancel","type":"response.create"}', None),
        ('{"type":"response.create","x":NaN}', None),
        ('{"type":"response.create",}', None),
        ("[" * 100_000 + "response.create", None),
        ('{"type":"response.create","event_id":"e","n":[' + "0," * 60_000 + "0]}", None),
        ('{"type":"response.create","n":' + "9" * 5_000 + "}", None),
    ],
)
def test_an_event_that_any_parser_could_read_as_a_create_is_one(
    text: str, event_id: str | None
) -> None:
    """Also with escapes, names that occur twice, and text that is no JSON."""
    assert create_event(text.encode()) == CreateEvent(event_id)


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"input_audio_buffer.append","audio":"AAAA"}',
        '{"type":"response.cancel"}',
        '{"type":"conversation.item.create","item":{"type":"response.create"}}',
        '["response.create"]',
        r'{"type":"session.update","text":"\u00e9"}',
        r"no JSON \u00e9",
        "",
    ],
)
def test_other_events_ask_for_no_response(text: str) -> None:
    """They pass without a deposit."""
    assert create_event(text.encode()) is None


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"type": "response.created", "response": {"id": "r1"}}, ResponseCreated("r1")),
        (
            {"type": "response.done", "response": {"id": "r1", "usage": USAGE}},
            ResponseDone("r1", Tokens(68, 64, 0, 121), failed=False),
        ),
        (
            {"type": "response.done", "response": {"id": "r1", "status": "failed"}},
            ResponseDone("r1", None, failed=True),
        ),
        (
            {"type": "response.done", "response": {"id": "r", "usage": {"input_tokens": True}}},
            ResponseDone("r", None, failed=False),
        ),
        ({"type": "response.done"}, ResponseDone("", None, failed=False)),
        (
            {"type": "response.output_text.delta", "response_id": "r1", "delta": "é"},
            ResponseText("r1", 2),
        ),
        (
            {"type": "response.output_audio_transcript.delta", "response_id": "r", "delta": "ab"},
            ResponseText("r", 2),
        ),
        ({"type": "response.output_audio.delta", "response_id": "r", "delta": "AAAA"}, None),
        ({"type": "response.output_text.delta", "delta": 1}, None),
        (
            {"type": "error", "error": {"type": "server_error", "event_id": "e1", "code": "x"}},
            ErrorNamed("e1", of_create=False, failed=True),
        ),
        (
            {"type": "error", "error": {"code": "conversation_already_has_active_response"}},
            ErrorNamed(None, of_create=True, failed=False),
        ),
        ({"type": "error"}, None),
        ({"type": "session.created", "session": {"model": "m"}}, ModelNamed("m")),
        ({"type": "session.updated", "session": []}, None),
        (
            {
                "type": "session.updated",
                "session": {"audio": {"input": {"transcription": {"model": "gpt-transcribe"}}}},
            },
            ModelNamed(None, "gpt-transcribe"),
        ),
        (
            {"type": "session.created", "session": {"input_audio_transcription": {"model": "w"}}},
            ModelNamed(None, "w"),
        ),
        (
            {"type": TRANSCRIBED, "transcript": "Hallö", "usage": TRANSCRIPT_USAGE},
            Transcribed(Tokens(13, 0, 0, 4), 6),
        ),
        (
            {"type": TRANSCRIBED, "transcript": "a", "usage": {"type": "duration", "seconds": 2}},
            Transcribed(None, 1),
        ),
        ({"type": TRANSCRIBED, "transcript": 7}, Transcribed(None, 0)),
        ({"type": "rate_limits.updated"}, None),
        ([], None),
    ],
)
def test_an_event_of_the_server_says_what_is_metered(
    event: object, expected: ServerEvent | None
) -> None:
    """What has not the documented shape says nothing, or as much as it has."""
    assert server_event(json.dumps(event).encode()) == expected


def test_a_client_s_text_does_not_hide_the_end_of_its_response() -> None:
    """Its metadata are in the answer: half a surrogate pair is JSON that orjson refuses."""
    response = {"id": "r", "metadata": {"x": "\ud800"}, "usage": {"output_tokens": 7}}
    done = {"type": "response.done", "response": response}
    event = server_event(json.dumps(done).encode())
    assert event == ResponseDone("r", Tokens(output=7), failed=False)
    delta = {"type": "response.output_text.delta", "response_id": "r", "delta": "\ud800"}
    assert server_event(json.dumps(delta).encode()) == ResponseText("r", 3)


def test_what_is_no_json_is_no_event() -> None:
    """The product's text is data, never an error."""
    assert server_event(b"{") is None


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
