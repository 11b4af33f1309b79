"""A client or an upstream that does not read, and what waits for it meanwhile."""

from __future__ import annotations

import asyncio

from sidecar.proxy.exchange import Exchange
from tests.plane import Client, Stage


def stop_reading(client: Client) -> None:
    """Have the client read no more."""
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]


def go_on_reading(client: Client) -> None:
    """Have the client read again."""
    client.writer.transport.resume_reading()  # type: ignore[attr-defined]


def held_by(stage: Stage) -> int:
    """Count the bytes that the sidecar holds for its connections."""
    total = 0
    for connection in stage.server._connections:
        total += connection.transport.get_write_buffer_size() + len(connection._buffer)
        exchange = connection.exchange
        if isinstance(exchange, Exchange) and exchange.body is not None:
            total += len(exchange.body._held)
    return total + sum(each.transport.get_write_buffer_size() for each in stage.pool._all)


async def full(stage: Stage) -> None:
    """Wait until what is sent fills every buffer on its way: ours are the last to grow."""
    for _ in range(200):
        before = held_by(stage)
        await asyncio.sleep(0.05)
        if before == held_by(stage) > 0:
            break
