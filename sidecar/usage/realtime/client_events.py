"""Reads the one event of a client of the OpenAI Realtime API that its metering needs.

Sources: developers.openai.com/api/reference/resources/realtime, client events, and the types of the
`openai` SDK.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from sidecar.usage.answer_format import MAX_MODEL
from sidecar.usage.events import is_dense

CREATE_WORDS: Final = (b"response.create", b"\\u")
"""A client's event has one of these, plain or escaped, if it asks for a response."""

_CREATE: Final = "response.create"


@dataclass(frozen=True, slots=True)
class CreateEvent:
    """The client asks for a response; its ID of the event, where it gives one."""

    event_id: str | None


class _Members(list[tuple[str, object]]):
    """The members of a JSON object, also those of one name."""


def create_event(payload: bytes) -> CreateEvent | None:
    """Return what a client's event asks for, None where it asks for no response.

    What another parser could read as such an event is one: names that occur twice, text that is no
    JSON, and what would take too long to parse.
    """
    if not any(word in payload for word in CREATE_WORDS):
        return None
    if is_dense(payload):
        return CreateEvent(None)
    try:
        event = json.loads(payload, object_pairs_hook=_Members)
    except (ValueError, RecursionError):
        return CreateEvent(None) if _CREATE.encode() in payload else None
    if not isinstance(event, _Members):
        return None
    if not any(name == "type" and value == _CREATE for name, value in event):
        return None
    return CreateEvent(name_of(dict(event).get("event_id")))


def name_of(value: object) -> str | None:
    """Return a name that can be written to the client; half a surrogate pair cannot."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_MODEL:
        return None
    return value if value.encode("utf-8", "replace").decode() == value else None
