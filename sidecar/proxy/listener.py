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

Connection = TypeVar("Connection")
"""A client's connection, which knows its listener."""


class Listener(Protocol[Connection]):
    """The server, as its connections need it. Seconds; `now` is the loop's clock.

    `connection_closed` counts a connection that a deadline or a bound has ended, by the cause.
    """

    limits: Limits
    upgrades: frozenset[bytes]
    keep_alive: bytes
    via: tuple[bytes, bytes]
    memory: BodyMemory
    outbox: Outbox
    now: Callable[[], float]
    is_trusted: Callable[[str], bool]
    refuse_unparsed: Callable[[Connection, ProtocolError], None]
    refuse_overloaded: Callable[[Connection], None]
    connection_closed: Callable[[str], None]
    body_idle: float
    answer_idle: float
    request_timeout: float
    patience: float
    room: int

    def opened(self, connection: Connection) -> None:
        """Count a connection in."""

    def closed(self, connection: Connection) -> None:
        """Count a connection out."""

    def begin(self, connection: Connection, head: RequestHead, body: InboundBody | None) -> None:
        """Begin to answer a request, as the connection's `exchange`: it may end at once."""

    def sweep_soon(self, seconds: float) -> None:
        """Look at deadlines earlier than usual."""
