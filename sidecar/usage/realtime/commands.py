"""What follows for a metered realtime connection, for its owner to do."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.domain.usage import Usage
from sidecar.usage.realtime.turns import SettleTurn


@dataclass(frozen=True, slots=True)
class TakeDeposit:
    """Ask for a turn's deposit, and bring the answer to `paid` or `refused`, whatever happens.

    `request`: the client's event, for an estimate; None where it is too long, and where the server
    started the response.
    """

    turn: int
    request: bytes | None


@dataclass(frozen=True, slots=True)
class ChargeTranscript:
    """Charge for what was transcribed of the client's speech: no deposit was taken for it."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class SendToProduct:
    """Pass bytes on to the product."""

    data: bytes


@dataclass(frozen=True, slots=True)
class SendToClient:
    """Pass bytes on to the client, or send it our own."""

    data: bytes


@dataclass(frozen=True, slots=True)
class CloseSocket:
    """Close both connections, when what was sent to the client is out."""


SocketCommand = (
    TakeDeposit | SettleTurn | ChargeTranscript | SendToProduct | SendToClient | CloseSocket
)
