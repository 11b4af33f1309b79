"""The event of a client of the OpenAI Realtime API that is metered."""

from __future__ import annotations

import pytest

from sidecar.usage.realtime.client_events import CreateEvent, create_event


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
