"""Reads the events of the OpenAI Realtime API that its metering needs; all others are None.

Sources: developers.openai.com/api/reference/resources/realtime, client and server events, and the
types of the `openai` SDK.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sidecar.domain.usage import Tokens
from sidecar.usage.answer_format import MAX_MODEL
from sidecar.usage.events import is_dense
from sidecar.usage.formats.openai_realtime import OPENAI_REALTIME, TRANSCRIPTION
from sidecar.usage.json_document import document_of
from sidecar.usage.tally import TokenTally

CREATE_WORDS: Final = (b"response.create", b"\\u")
"""A client's event has one of these, plain or escaped, if it asks for a response."""

DONE_START: Final = re.compile(
    rb'\s*\{\s*(?:"event_id"\s*:\s*"[^"\\]*"\s*,\s*)?"type"\s*:\s*"response\.done"'
)
"""How an event begins that ends a response, where it is too long to be read.

Behind its beginning is what a client may have written: a server repeats items and tools.
"""

_CREATE: Final = "response.create"
_IDLE: Final = frozenset(
    {"session.created", "session.updated", "transcription_session.updated", "error"}
)
_BUSY: Final = "conversation_already_has_active_response"


@dataclass(frozen=True, slots=True)
class CreateEvent:
    """The client asks for a response; its ID of the event, where it gives one."""

    event_id: str | None


@dataclass(frozen=True, slots=True)
class ResponseCreated:
    """A response has begun: `response.created`."""

    response_id: str


@dataclass(frozen=True, slots=True)
class ResponseText:
    """Text of a response goes to the client, in bytes."""

    response_id: str
    size: int


@dataclass(frozen=True, slots=True)
class ResponseDone:
    """A response has ended: `response.done`, whatever its status is.

    `tokens`: its usage, None where it names none. `failed`: by the server's fault.
    """

    response_id: str
    tokens: Tokens | None
    failed: bool


@dataclass(frozen=True, slots=True)
class ErrorNamed:
    """The server refuses an event of the client: `error`.

    `event_id`: which; None where the event had no ID. `of_create`: it was one that asks for a
    response, by the error's code. `failed`: by the server's fault.
    """

    event_id: str | None
    of_create: bool
    failed: bool


@dataclass(frozen=True, slots=True)
class ModelNamed:
    """The session names its models, which its responses do not.

    `transcriber`: the one that transcribes what the client says, None where none does.
    """

    model: str | None
    transcriber: str | None = None


@dataclass(frozen=True, slots=True)
class Transcribed:
    """Speech of the client was transcribed, beside the responses, by a model of its own.

    `tokens`: its usage, None where it names none, or seconds. `text_bytes`: of the transcript.
    """

    tokens: Tokens | None
    text_bytes: int


ServerEvent = ResponseCreated | ResponseText | ResponseDone | ErrorNamed | ModelNamed | Transcribed


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
    return CreateEvent(_name(dict(event).get("event_id")))


def server_event(payload: bytes) -> ServerEvent | None:
    """Return what a server's event says."""
    try:
        event = document_of(payload)
    except ValueError:
        return None
    if not isinstance(event, dict):
        return None
    match event.get("type"):
        case "response.created":
            return ResponseCreated(_response_id(event.get("response")))
        case "response.done":
            return _done(event)
        case "error":
            return _error(event.get("error"))
        case "session.created" | "session.updated":
            return _models(event.get("session"))
        case "conversation.item.input_audio_transcription.completed":
            return _transcribed(event)
        case str(kind) if kind.startswith("response.") and kind.endswith(".delta"):
            return None if kind.endswith("audio.delta") else _text(event)
        case _:
            return None


def is_idle(payload: bytes) -> bool:
    """Whether a server's event says that nothing was done: it is about the session alone."""
    try:
        event = document_of(payload)
    except ValueError:
        return False
    kind = event.get("type") if isinstance(event, dict) else None
    return isinstance(kind, str) and kind in _IDLE


def _done(event: Mapping[str, object]) -> ResponseDone:
    tally = TokenTally(OPENAI_REALTIME)
    tally.take(event)
    response = event.get("response")
    failed = isinstance(response, dict) and response.get("status") == "failed"
    return ResponseDone(_response_id(response), tally.result(0, whole=True).tokens, failed)


def _error(error: object) -> ErrorNamed | None:
    if not isinstance(error, dict):
        return None
    return ErrorNamed(
        _name(error.get("event_id")),
        of_create=error.get("code") == _BUSY,
        failed=error.get("type") == "server_error",
    )


def _models(session: object) -> ModelNamed | None:
    """Read a session's models: of today's shape, and of that of the beta."""
    if not isinstance(session, dict):
        return None
    place: object = session
    for name in ("audio", "input", "transcription"):
        place = place.get(name) if isinstance(place, dict) else None
    transcription = place or session.get("input_audio_transcription")
    transcriber = transcription.get("model") if isinstance(transcription, dict) else None
    return ModelNamed(_name(session.get("model")), _name(transcriber))


def _transcribed(event: Mapping[str, object]) -> Transcribed:
    tally = TokenTally(TRANSCRIPTION)
    tally.take(event)
    text = event.get("transcript")
    size = len(text.encode("utf-8", "surrogatepass")) if isinstance(text, str) else 0
    return Transcribed(tally.result(0, whole=True).tokens, size)


def _text(event: Mapping[str, object]) -> ResponseText | None:
    delta = event.get("delta")
    if not isinstance(delta, str):
        return None
    return ResponseText(
        _name(event.get("response_id")) or "", len(delta.encode("utf-8", "surrogatepass"))
    )


def _response_id(response: object) -> str:
    return (_name(response.get("id")) or "") if isinstance(response, dict) else ""


def _name(value: object) -> str | None:
    """Return a name that can be written to the client; half a surrogate pair cannot."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_MODEL:
        return None
    return value if value.encode("utf-8", "replace").decode() == value else None
