"""What the product's events mean for the turns of a connection: which begin, which end, at what."""

from __future__ import annotations

from typing import assert_never

from sidecar.domain.usage import MissingCause, Usage
from sidecar.usage.realtime.commands import ChargeTranscript, SocketCommand, TakeDeposit
from sidecar.usage.realtime.events import (
    ErrorNamed,
    ModelNamed,
    ResponseCreated,
    ResponseDone,
    ResponseText,
    Transcribed,
    server_event,
)
from sidecar.usage.realtime.turns import TurnBook


class ProductEvents:
    """Takes the events of one connection's product."""

    def __init__(self, turns: TurnBook) -> None:
        self._turns = turns
        self._transcriber: str | None = None

    def take(self, payload: bytes) -> list[SocketCommand]:
        """Take an event; return the commands that follow from it."""
        event = server_event(payload)
        match event:
            case None:
                return []
            case ResponseCreated(response_id):
                return self._begin(response_id)
            case ResponseText(response_id, size):
                self._turns.sent(response_id, size)
                return []
            case ResponseDone(response_id, tokens, failed):
                begun = self._begin(response_id)  # where its beginning was not seen
                return [*begun, *self._turns.done(response_id, tokens, failed=failed)]
            case ErrorNamed():
                return [*self._turns.rejected(event)]
            case ModelNamed(model, transcriber):
                self._turns.model = model or self._turns.model
                self._transcriber = transcriber or self._transcriber
                return []
            case Transcribed(tokens, size):
                missing = MissingCause.ABSENT if tokens is None else None
                return [ChargeTranscript(Usage(tokens, None, self._transcriber, size, missing))]
            case _:
                assert_never(event)

    def _begin(self, response_id: str) -> list[SocketCommand]:
        turn = self._turns.created(response_id)
        return [] if turn is None else [TakeDeposit(turn, None)]
