"""Takes the platform's events off one exact path; every other request goes its usual way.

It stands before the gateway and only where a webhook is wanted, so that a call without one costs
what it did. Neither policy nor upstream has a part in a delivery: nothing of it is forwarded.

Any client can send to this path. Its head is judged before its body is read. A body that has
arrived with its head is judged at once and needs no place; one that has to be waited for has a
place for a few seconds, and loses it to a newer one where all are taken. Places are not counted by
peer address: behind an ingress the platform and every other client have the same one.
"""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from typing import Final, Protocol

from sidecar.answers.refusals import Fields
from sidecar.answers.serialise import serialise
from sidecar.domain.model import Headers
from sidecar.domain.values import value
from sidecar.http1.errors import ProtocolError
from sidecar.http1.heads import RequestHead
from sidecar.http1.places import CrowdedOutError, Places
from sidecar.proxy.downstream import ServerConnection
from sidecar.proxy.gateway import Gateway
from sidecar.proxy.inbound import InboundBody

log = logging.getLogger("sidecar.proxy")

AT_ONCE: Final = 64
"""Bodies of deliveries that are waited for at once."""

BODY_SECONDS: Final = 5.0
"""How long a delivery's body may take; the platform sends a few hundred bytes with the head."""

_FIELDS: Final = ((b"Content-Type", b"application/json"), (b"Cache-Control", b"no-store"))

_StatusAndBody = tuple[int, bytes]


class EventReceiver(Protocol):
    """What judges a delivery. Each method that answers returns a status and a JSON body."""

    @property
    def max_body(self) -> int:
        """How many bytes a delivery may have."""

    def refuse_unread(self, fields: Headers) -> _StatusAndBody | None:
        """Refuse a delivery by its head alone; None: read its body."""

    def receive(self, fields: Headers, body: bytes | None) -> _StatusAndBody:
        """Take one delivery, None for a body over the bound."""

    def too_slow(self) -> _StatusAndBody:
        """Answer a delivery whose body took too long."""

    def crowded_out(self) -> _StatusAndBody:
        """Answer a delivery that lost its place to a newer one."""


@value
class DeliveryAnswer:
    """What a delivery is answered, whatever became of it."""

    status: int
    headers: Fields
    body: bytes


class EventDoor:
    """`POST` on `path`, byte for byte and without a query, is a delivery."""

    def __init__(
        self,
        gateway: Gateway,
        path: str,
        receiver: EventReceiver,
        *,
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        self._gateway = gateway
        self._path = path.encode("ascii")
        self._receiver = receiver
        self._places = Places(AT_ONCE, body_seconds)

    def serve(self, client: ServerConnection, head: RequestHead) -> Coroutine[None, None, None]:
        """Choose who answers one request."""
        if head.target == self._path and head.method == "POST":
            return self._take(client, head)
        return self._gateway.serve(client, head)

    async def _take(self, client: ServerConnection, head: RequestHead) -> None:
        body = client.body
        keep = False
        try:
            status, text = await self._received(body, head.fields)
            keep = (
                head.keep_alive
                and not self._gateway.draining
                and (body is None or (body.done and body.error is None))
            )
            answer = DeliveryAnswer(status, _FIELDS, text)
            client.write(serialise(answer, keep=keep, minor=head.minor, bodiless=False))
        finally:
            client.end_exchange(keep=keep)

    async def _received(self, body: InboundBody | None, fields: Headers) -> _StatusAndBody:
        receiver = self._receiver
        try:
            refused = receiver.refuse_unread(fields)
            if refused is not None:
                return refused
            return receiver.receive(fields, await self._content(body))
        except ProtocolError as error:  # the sender broke its own body
            return error.status, b"{}"
        except CrowdedOutError:
            return receiver.crowded_out()
        except TimeoutError:
            return receiver.too_slow()
        except Exception:
            log.exception("event_fault")
            return 500, b"{}"

    async def _content(self, body: InboundBody | None) -> bytes | None:
        """Read a body, None where it is over the bound; only one that is not there waits."""
        if body is None:
            return b""
        if body.done:
            return await body.read(self._receiver.max_body)
        async with self._places.take():
            return await body.read(self._receiver.max_body)
