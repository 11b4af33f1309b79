"""One exchange, and whether its connection lives on."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from sidecar.http1.errors import ProtocolError
from sidecar.http1.heads import parse_request
from sidecar.proxy.body_memory import BodyMemory
from sidecar.proxy.connection import ServerConnection
from sidecar.proxy.exchange import Exchange
from sidecar.proxy.inbound import InboundBody


class RecordingConnection:
    """A client's connection that notes how the exchange was given back."""

    def __init__(self) -> None:
        self.ended: list[tuple[bool, bool]] = []

    def exchange_ended(self, *, keep: bool, whole: bool) -> None:
        self.ended.append((keep, whole))

    def resume_body(self) -> None: ...


def exchange_of(*fields: bytes, version: bytes = b"1.1", keep: bool = True) -> Exchange:
    """Return the exchange of a request with these fields."""
    client = cast("ServerConnection", RecordingConnection())
    head = parse_request(
        b"\r\n".join((b"GET / HTTP/" + version, b"Host: a", *fields, b"", b"")), 100
    )
    body = InboundBody(client, head.length, BodyMemory(), expects=False) if head.length else None
    return Exchange(client, head, body, keep=keep)


def ended(exchange: Exchange) -> list[tuple[bool, bool]]:
    """End an exchange; return whether the connection is kept, and whether the request was whole."""
    exchange.end()
    return cast("RecordingConnection", exchange.client).ended


def test_a_whole_request_keeps_its_connection() -> None:
    """HTTP/1.1 is persistent (RFC 9112, 9.3)."""
    assert ended(exchange_of()) == [(True, True)]


@pytest.mark.parametrize(
    "exchange",
    [
        exchange_of(b"Connection: close"),
        exchange_of(version=b"1.0"),
        exchange_of(keep=False),
    ],
    ids=["close", "1.0", "draining"],
)
def test_what_ends_a_connection_from_the_start(exchange: Exchange) -> None:
    """The client's word, its version, a drain."""
    assert ended(exchange) == [(False, True)]


def test_more_may_come_behind_an_upgrade() -> None:
    """The client may have sent ahead for the tunnel: the connection is closed in stages."""
    exchange = exchange_of(b"Connection: upgrade", b"Upgrade: websocket")
    assert ended(exchange) == [(False, False)]


def test_a_request_that_is_not_whole_ends_its_connection() -> None:
    """The next head could not be found."""
    assert ended(exchange_of(b"Content-Length: 3")) == [(False, False)]


def test_a_body_that_came_whole_keeps_the_connection() -> None:
    """Then the next head follows it."""
    exchange = exchange_of(b"Content-Length: 3")
    assert exchange.body is not None
    exchange.body.feed(b"abc")
    assert ended(exchange) == [(True, True)]


def test_a_broken_body_ends_the_connection() -> None:
    """And the body reports it to the reader that waits for it."""
    exchange = exchange_of(b"Transfer-Encoding: chunked")
    error = ProtocolError("broken")
    exchange.break_off(error)
    assert exchange.body is not None
    assert exchange.body.error is error
    assert ended(exchange) == [(False, False)]


async def test_a_client_that_leaves_frees_the_body_of_a_task_that_never_ran() -> None:
    """Such a task does not end its exchange itself."""
    memory = BodyMemory()
    client = cast("ServerConnection", RecordingConnection())
    head = parse_request(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n", 100)
    exchange = Exchange(client, head, InboundBody(client, 9, memory, expects=False), keep=True)
    assert exchange.body is not None
    exchange.body.feed(b"abc")
    exchange.task = asyncio.ensure_future(asyncio.sleep(10.0))
    exchange.cancel()
    assert memory.used == 0
    await asyncio.wait([exchange.task])
    assert exchange.task.cancelled()
