"""Reads the events of the OpenAI Realtime API's server, and takes them to a connection's turns.

Sources: developers.openai.com/api/reference/resources/realtime, server events, and the types of the
`openai` SDK.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from sidecar.domain.usage import MissingCause, Tokens, Usage
from sidecar.usage.answer_format import AnswerFormat, follow
from sidecar.usage.formats.openai_realtime import OPENAI_REALTIME, TRANSCRIPTION
from sidecar.usage.json_document import document_of
from sidecar.usage.realtime.client_events import name_of
from sidecar.usage.realtime.commands import ChargeTranscript, SocketCommand, TakeDeposit
from sidecar.usage.realtime.turns import TurnBook
from sidecar.usage.tally import TokenTally

DONE_START: Final = re.compile(
    rb'\s*\{\s*(?:"event_id"\s*:\s*"[^"\\]*"\s*,\s*)?"type"\s*:\s*"response\.done"'
)
"""How an event begins that ends a response, where it is too long to be read.

Behind its beginning is what a client may have written: a server repeats items and tools.
"""

_IDLE: Final = frozenset(
    {"session.created", "session.updated", "transcription_session.updated", "error"}
)
_BUSY: Final = "conversation_already_has_active_response"


def is_idle(payload: bytes) -> bool:
    """Whether an event says that nothing was done: it is about the session alone."""
    kind = _event_in(payload).get("type")
    return isinstance(kind, str) and kind in _IDLE


class ProductEvents:
    """Takes the events of one connection's product; those that it does not know are ignored."""

    def __init__(self, turns: TurnBook) -> None:
        self._turns = turns
        self._transcriber: str | None = None

    def take(self, payload: bytes) -> list[SocketCommand]:
        """Take an event; return the commands that follow from it."""
        event = _event_in(payload)
        match event.get("type"):
            case "response.created":
                return self._begin(_id_of(event.get("response")))
            case "response.done":
                return self._done(event)
            case "error":
                return self._rejected(event.get("error"))
            case "session.created" | "session.updated":
                self._take_models(event.get("session"))
            case "conversation.item.input_audio_transcription.completed":
                return self._transcribed(event)
            case str(kind) if kind.startswith("response.") and kind.endswith(".delta"):
                if not kind.endswith("audio.delta"):
                    self._sent(event)
            case _:
                pass  # not metered
        return []

    def _begin(self, response_id: str) -> list[SocketCommand]:
        turn = self._turns.created(response_id)
        return [] if turn is None else [TakeDeposit(turn, None)]

    def _sent(self, event: Mapping[str, object]) -> None:
        delta = event.get("delta")
        if isinstance(delta, str):
            self._turns.sent(name_of(event.get("response_id")) or "", _bytes_in(delta))

    def _done(self, event: Mapping[str, object]) -> list[SocketCommand]:
        response = event.get("response")
        response_id = _id_of(response)
        failed = isinstance(response, dict) and response.get("status") == "failed"
        begun = self._begin(response_id)  # where its beginning was not seen
        tokens = _tokens_of(OPENAI_REALTIME, event)
        return [*begun, *self._turns.done(response_id, tokens, failed=failed)]

    def _rejected(self, error: object) -> list[SocketCommand]:
        if not isinstance(error, dict):
            return []
        settled = self._turns.rejected(
            name_of(error.get("event_id")),
            of_create=error.get("code") == _BUSY,
            failed=error.get("type") == "server_error",
        )
        return [*settled]

    def _take_models(self, session: object) -> None:
        """Read a session's models, which its responses do not name; also of the beta's shape."""
        if not isinstance(session, dict):
            return
        self._turns.model = name_of(session.get("model")) or self._turns.model
        transcription = follow(session, ("audio", "input", "transcription"))
        transcription = transcription or session.get("input_audio_transcription")
        transcriber = name_of(follow(transcription, ("model",)))
        self._transcriber = transcriber or self._transcriber

    def _transcribed(self, event: Mapping[str, object]) -> list[SocketCommand]:
        tokens = _tokens_of(TRANSCRIPTION, event)  # none where it names seconds
        text = event.get("transcript")
        size = _bytes_in(text) if isinstance(text, str) else 0
        missing = MissingCause.ABSENT if tokens is None else None
        return [ChargeTranscript(Usage(tokens, None, self._transcriber, size, missing))]


def _event_in(payload: bytes) -> Mapping[str, object]:
    """Return an event's members; none where it is no JSON object."""
    try:
        event = document_of(payload)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def _tokens_of(answer_format: AnswerFormat, event: Mapping[str, object]) -> Tokens | None:
    tally = TokenTally(answer_format)
    tally.take(event)
    return tally.result(0, whole=True).tokens


def _id_of(response: object) -> str:
    return (name_of(response.get("id")) or "") if isinstance(response, dict) else ""


def _bytes_in(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
