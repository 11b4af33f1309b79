"""The server, as its connections need it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from sidecar.http1.errors import ProtocolError
from sidecar.http1.heads import RequestHead
from sidecar.proxy.body_memory import BodyMemory
from sidecar.proxy.inbound import InboundBody
from sidecar.proxy.outbox import Outbox
from sidecar.settings.sections import Limits

Connection_contra = TypeVar("Connection_contra", contravariant=True)
"""A client's connection, which knows its listener."""


class Listener(Protocol[Connection_contra]):
    """The server, as its connections need it. Seconds; `now` is the loop's clock."""

    limits: Limits
    upgrades: frozenset[bytes]
    keep_alive: bytes
    via: tuple[bytes, bytes]
    memory: BodyMemory
    outbox: Outbox
    now: Callable[[], float]
    is_trusted: Callable[[str], bool]
    body_idle: float
    answer_idle: float
    request_timeout: float
    patience: float
    room: int

    def opened(self, connection: Connection_contra) -> None:
        """Count a connection in."""

    def closed(self, connection: Connection_contra) -> None:
        """Count a connection out."""

    def begin(
        self, connection: Connection_contra, head: RequestHead, body: InboundBody | None
    ) -> None:
        """Begin to answer a request, as the connection's `exchange`: it may end at once."""

    def refuse_unparsed(self, connection: Connection_contra, error: ProtocolError) -> None:
        """Answer what never became a request."""

    def refuse_overloaded(self, connection: Connection_contra) -> None:
        """Answer a connection that there is no room for."""

    def connection_closed(self, cause: str) -> None:
        """Count a connection that was ended by a deadline or a bound."""

    def sweep_soon(self, seconds: float) -> None:
        """Look at deadlines earlier than usual."""
