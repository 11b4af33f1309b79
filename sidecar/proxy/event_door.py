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

from sidecar.answers.deliveries import answer_delivery
from sidecar.domain.deliveries import DeliveryOutcome
from sidecar.domain.errors import NoRoomError
from sidecar.domain.model import Headers
from sidecar.http1.errors import ProtocolError
from sidecar.http1.places import CrowdedOutError, Places
from sidecar.proxy.exchange import Exchange
from sidecar.proxy.gateway import Gateway
from sidecar.proxy.inbound import InboundBody

log = logging.getLogger("sidecar.proxy")

AT_ONCE: Final = 64
"""Bodies of deliveries that are waited for at once."""

BODY_SECONDS: Final = 5.0
"""How long a delivery's body may take; the platform sends a few hundred bytes with the head."""


class EventReceiver(Protocol):
    """What judges a delivery."""

    @property
    def max_body(self) -> int:
        """How many bytes a delivery may have."""

    def refuse_unread(self, fields: Headers) -> DeliveryOutcome | None:
        """Refuse a delivery by its head alone; None: read its body."""

    def receive(self, fields: Headers, body: bytes | None) -> DeliveryOutcome:
        """Take one delivery, None for a body over the bound."""

    def answered(self, outcome: DeliveryOutcome) -> None:
        """Count a delivery that is answered, whatever became of it."""


class EventDoor:
    """`POST` on `path`, byte for byte and without a query, is a delivery. A `Plane`."""

    def __init__(
        self,
        gateway: Gateway,
        path: str,
        receiver: EventReceiver,
        *,
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        self._gateway = gateway
        self.answers: Final = gateway.answers
        self.drain: Final = gateway.drain
        self.memory: Final = gateway.memory
        self._path = path.encode("ascii")
        self._receiver = receiver
        self._places = Places(AT_ONCE, body_seconds)

    def serve(self, exchange: Exchange) -> Coroutine[None, None, None]:
        """Choose who answers one request."""
        head = exchange.head
        if head.target == self._path and head.method == "POST":
            return self._take(exchange)
        return self._gateway.serve(exchange)

    async def _take(self, exchange: Exchange) -> None:
        self.drain.inflight += 1
        try:
            outcome = await self._outcome(exchange.body, exchange.head.fields)
            self.answers.send(exchange, answer_delivery(outcome))
            self._receiver.answered(outcome)
        finally:
            self.drain.leave()
            exchange.end()

    async def _outcome(self, body: InboundBody | None, fields: Headers) -> DeliveryOutcome:
        receiver = self._receiver
        try:
            refused = receiver.refuse_unread(fields)
            if refused is not None:
                return refused
            return receiver.receive(fields, await self._content(body))
        except ProtocolError as error:  # the sender broke its own body
            return DeliveryOutcome.TOO_SLOW if error.status == 408 else DeliveryOutcome.BROKEN
        except NoRoomError:
            return DeliveryOutcome.NO_ROOM
        except CrowdedOutError:
            return DeliveryOutcome.CROWDED_OUT
        except TimeoutError:
            return DeliveryOutcome.TOO_SLOW
        except Exception:
            log.exception("event_fault")
            return DeliveryOutcome.FAILED

    async def _content(self, body: InboundBody | None) -> bytes | None:
        """Read a body, None where it is over the bound; only one that is not there waits."""
        if body is None:
            return b""
        if body.done:
            return await body.read(self._receiver.max_body)
        async with self._places.take():
            return await body.read(self._receiver.max_body)
