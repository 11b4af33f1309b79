"""One exchange: a request of a client, and its answer."""

from __future__ import annotations

import asyncio
from typing import Final

from sidecar.http1.errors import ProtocolError
from sidecar.http1.heads import RequestHead
from sidecar.proxy.connection import ServerConnection
from sidecar.proxy.inbound import InboundBody
from sidecar.proxy.ports import Answering


class Exchange:
    """Everything about one request that lives until its answer has ended.

    `keep`: the connection takes another request afterwards. It starts as what the head asks for,
    and only falls. `status` is that of the answer passed on so far, 0 before its head. `answered`:
    bytes of an answer have left, so that no other answer can be given. `task` decides on it and
    forwards it; from then on `relay` has it. `started` is when it began, on the monotonic clock,
    and `added` how many seconds later the product was called.
    """

    __slots__ = ("added", "answered", "body", "client", "head", "keep", "relay", "started",
                 "status", "task")  # fmt: skip

    def __init__(
        self, client: ServerConnection, head: RequestHead, body: InboundBody | None, *, keep: bool
    ) -> None:
        self.client: Final = client
        self.head: Final = head
        self.body: Final = body
        self.keep = keep and head.keep_alive and head.upgrade is None
        self.answered = False
        self.status = 0
        self.started = 0.0
        self.added: float | None = None
        self.relay: Answering | None = None
        self.task: asyncio.Task[None] | None = None

    @property
    def kept(self) -> bool:
        """Whether the connection takes another request: not before this one is whole."""
        return self.keep and (self.body is None or self.body.done)

    def send(self, data: bytes) -> None:
        """Send a part of the answer."""
        self.answered = True
        self.client.write(data)

    def end(self) -> None:
        """Give the connection back; called once, when the answer is written or given up.

        A client that asked for a tunnel may have sent more, whether it got one or not.
        """
        body = self.body
        whole = (body is None or body.done) and self.head.upgrade is None
        self.relay = None
        if body is not None:
            body.let_go()
        self.client.exchange_ended(keep=self.keep and whole, whole=whole)

    # what the connection does

    def cancel(self) -> None:
        """End the exchange: the client has gone."""
        if self.task is not None:
            self.task.cancel()
        if self.relay is not None:  # as a cancelled task: in the next iteration
            asyncio.get_running_loop().call_soon(self.relay.cancel)
        if self.body is not None:  # a task that never ran does not end its exchange
            self.body.let_go()

    def break_off(self, error: ProtocolError) -> None:
        """End the exchange: its body is broken, and what follows is no request."""
        self.keep = False
        if self.body is not None:
            self.body.fail(error)
        if self.relay is not None:
            self.relay.break_off(error)
