"""Takes the platform's events off one exact path; every other request goes its usual way.

It stands before the gateway and only where a webhook is wanted, so that a call without one costs
what it did. Neither policy nor upstream has a part in a delivery: nothing of it is forwarded.
"""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from typing import Final, Protocol

from sidecar.http1.errors import ProtocolError
from sidecar.http1.heads import RequestHead
from sidecar.model import Headers
from sidecar.proxy.answering import serialise
from sidecar.proxy.downstream import ServerConnection
from sidecar.proxy.gateway import Gateway
from sidecar.proxy.inbound import InboundBody
from sidecar.refusals import Refusal

log = logging.getLogger("sidecar.proxy")

AT_ONCE: Final = 64
"""Deliveries at once; beyond, 503. Anybody may send one, and holds memory until it is judged."""

_FIELDS: Final = ((b"Content-Type", b"application/json"), (b"Cache-Control", b"no-store"))


class EventReceiver(Protocol):
    """Who takes a delivery."""

    @property
    def max_body(self) -> int:
        """How many bytes a delivery may have."""

    def receive(self, fields: Headers, body: bytes | None) -> tuple[int, bytes]:
        """Take one delivery, None for a body over the bound; return status and JSON body."""


class EventDoor:
    """`POST` on `path`, byte for byte and without a query, is a delivery."""

    def __init__(self, gateway: Gateway, path: str, receiver: EventReceiver) -> None:
        self._gateway = gateway
        self._path = path.encode("ascii")
        self._receiver = receiver
        self._under_way = 0

    def serve(self, client: ServerConnection, head: RequestHead) -> Coroutine[None, None, None]:
        """Choose who answers one request."""
        if head.target == self._path and head.method == "POST":
            return self._take(client, head)
        return self._gateway.serve(client, head)

    async def _take(self, client: ServerConnection, head: RequestHead) -> None:
        body = client.body
        keep = False
        try:
            status, text = await self._received(body, head)
            keep = (
                head.keep_alive
                and not self._gateway.draining
                and (body is None or (body.done and body.error is None))
            )
            answer = Refusal(status, _FIELDS, text)
            client.write(serialise(answer, keep=keep, minor=head.minor, bodiless=False))
        finally:
            client.end_exchange(keep=keep)

    async def _received(self, body: InboundBody | None, head: RequestHead) -> tuple[int, bytes]:
        if self._under_way >= AT_ONCE:
            return 503, b"{}"
        self._under_way += 1
        try:
            content = b"" if body is None else await body.read(self._receiver.max_body)
            return self._receiver.receive(head.fields, content)
        except ProtocolError as error:  # the sender broke its own body
            return error.status, b"{}"
        except Exception:
            log.exception("event_fault")
            return 500, b"{}"
        finally:
            self._under_way -= 1
