"""A metered realtime connection on its way: does what follows from the bytes of both sides.

It takes the product's place for the client's bytes, and stands before the client for the product's.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol, assert_never

from sidecar.domain.model import Decision
from sidecar.domain.usage import Usage
from sidecar.http1.client import ClientConnection
from sidecar.proxy.connection import ServerConnection
from sidecar.usage.realtime.commands import (
    ChargeTranscript,
    CloseSocket,
    SendToClient,
    SendToProduct,
    SocketCommand,
    TakeDeposit,
)
from sidecar.usage.realtime.frame_writer import INTERNAL_ERROR, Refusal
from sidecar.usage.realtime.metered_socket import MeteredSocket
from sidecar.usage.realtime.turns import SettleTurn

log = logging.getLogger("sidecar.proxy")

_FAULT: Final = Refusal(
    "server_error", "internal_error", "The request could not be processed.", INTERNAL_ERROR
)


class TurnPayer(Protocol):
    """The engine, as a metered realtime connection needs it."""

    async def pay(self, turn: int, request: bytes | None) -> Refusal | None:
        """Take a turn's deposit; None where it is admitted. `request`: the client's event."""

    def settle(self, settled: SettleTurn) -> None:
        """Close a turn; once for each that was admitted, and for each response."""

    def transcribed(self, usage: Usage) -> None:
        """Charge for what was transcribed of the client's speech."""


class SwitchedRelay(Protocol):
    """The relay of an answer that switches protocols."""

    upstream: ClientConnection

    def pause(self) -> None:
        """Read the product no further for now."""

    def resume(self) -> None:
        """Read the product again, where nothing else stands against it."""

    def leave(self) -> None:
        """End both connections, when what was written to them is out."""


class MeteredTunnel:
    """Between one client and the product, from the 101 to the end of either connection."""

    def __init__(
        self,
        socket: MeteredSocket,
        *,
        payer: TurnPayer,
        client: ServerConnection,
        relay: SwitchedRelay,
        decision: Decision,
    ) -> None:
        """Begin to pass bytes; `decision` admitted the handshake."""
        self._socket = socket
        self._payer = payer
        self._client = client
        self._relay = relay
        self._product = relay.upstream.transport
        self._decision = decision
        self._loop = asyncio.get_running_loop()
        self._deposits: set[asyncio.Task[None]] = set()
        self._product_full = False
        self._paused = False

    def write(self, data: bytes) -> None:
        """Take bytes of the client."""
        self._do(self._socket.from_client(data))
        if self._socket.client_behind:
            self._loop.call_soon(self.write, b"")

    @property
    def idle(self) -> bool:
        """Whether the product has done nothing for the client yet."""
        return self._socket.idle

    @property
    def behind(self) -> bool:
        """Whether bytes of the product are left: it is read, also to its end, behind them."""
        return self._socket.product_behind

    def is_closing(self) -> bool:
        """Whether nothing can be sent to the product any more."""
        return self._product.is_closing()

    def take(self, data: bytes) -> None:
        """Take bytes of the product."""
        self._do(self._socket.from_product(data))
        if self._socket.product_behind:
            self._relay.pause()
            self._loop.call_soon(self._catch_up)

    def _catch_up(self) -> None:
        self.take(b"")
        if not self._socket.product_behind:
            self._relay.resume()

    def on_writable(self, *, writable: bool) -> None:
        """Let the client send only as fast as the product takes it."""
        self._product_full = not writable
        self._regulate()

    def lost(self) -> None:
        """Settle what runs: either connection is gone. Deposits are still awaited."""
        self._do(self._socket.lost())

    async def _pay(self, turn: int, request: bytes | None) -> None:
        refusal: Refusal | None = _FAULT
        try:
            refusal = await self._payer.pay(turn, request)
        except Exception:
            admitted = self._decision
            extra = {"request_id": admitted.request_id, "route": admitted.route}
            log.exception("fault", extra=extra)
        if refusal is None:
            self._do(self._socket.paid(turn))
        else:
            self._do(self._socket.refused(turn, refusal))

    def _do(self, commands: list[SocketCommand]) -> None:
        for command in commands:
            match command:
                case TakeDeposit(turn, request):
                    task = self._loop.create_task(self._pay(turn, request))
                    self._deposits.add(task)
                    task.add_done_callback(self._deposits.discard)
                case SettleTurn():
                    self._payer.settle(command)
                case ChargeTranscript(usage):
                    self._payer.transcribed(usage)
                case SendToProduct(data):
                    if not self._product.is_closing():
                        self._product.write(data)
                case SendToClient(data):
                    self._client.write(data)
                case CloseSocket():
                    self._relay.leave()
                case _:
                    assert_never(command)
        self._regulate()

    def _regulate(self) -> None:
        """Read from the client while nothing it sent waits, and the product takes it."""
        paused = self._product_full or self._socket.client_waits
        if paused is not self._paused:
            self._paused = paused
            if paused:
                self._client.pause_body()
            else:
                self._client.resume_body()
