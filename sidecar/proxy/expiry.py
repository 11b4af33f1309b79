"""What a deadline of a client's connection means once it has passed."""

from __future__ import annotations

from sidecar.http1.delivery import taken_so_far
from sidecar.http1.errors import ProtocolError
from sidecar.proxy.connection import ServerConnection
from sidecar.proxy.phases import Phase


def expire(connection: ServerConnection) -> None:
    """Act on the deadline: that of the client's reading, of its leaving, or of the phase."""
    connection.deadline = float("inf")
    phase = connection.phase
    unsent = phase is Phase.LINGERING and connection.transport.get_write_buffer_size()
    if connection.writing_paused or unsent:
        _expect_reading(connection)
    elif connection.ended:
        if taken_so_far(connection.transport) > connection.taken:
            connection.start_grace()
        else:
            connection.abort()  # no side was slow: most likely the client has left
    elif phase is Phase.EXCHANGE or phase is Phase.TUNNEL:
        _expire_exchange(connection)
    elif phase is Phase.HEAD:
        connection.listener.connection_closed("slow_head")
        connection.refuse(ProtocolError("the head took too long to arrive", 408))
    elif phase is Phase.LINGERING:
        _end(connection, "lingering")
    elif phase is Phase.IDLE:
        _end(connection, "idle")


def _expire_exchange(connection: ServerConnection) -> None:
    exchange = connection.exchange
    if exchange is None:  # it has ended, and the client does not take the rest of the answer
        _end(connection, "idle")
    elif connection.arriving is None or connection.body_full:
        if exchange.relay is not None:
            exchange.relay.time_out()
    elif exchange.answered:
        _end(connection, "slow_body")
    else:
        connection.listener.connection_closed("slow_body")
        connection.break_body(ProtocolError("the body took too long to arrive", 408))


def _expect_reading(connection: ServerConnection) -> None:
    """End a connection whose client took nothing since the last look; else look again."""
    before, connection.taken = connection.taken, taken_so_far(connection.transport)
    if connection.taken <= before:
        _end(connection, "slow_reader")
    else:
        connection.deadline = connection.listener.now() + connection.listener.patience


def _end(connection: ServerConnection, cause: str) -> None:
    connection.listener.connection_closed(cause)
    connection.abort()
