"""The door on real sockets: what is a delivery, what is a call, and what a sender may break."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from sidecar.domain.deliveries import DeliveryOutcome
from sidecar.domain.model import Headers
from sidecar.proxy.event_door import AT_ONCE, BODY_SECONDS, EventDoor
from sidecar.proxy.gateway import Gateway
from sidecar.proxy.server import Server
from sidecar.settings.sections import Limits
from tests.fakes.engines import AllowingEngine, RememberingRequests
from tests.fakes.upstreams import ScriptedUpstream
from tests.plane import Stage, eventually, statuses

PATH = "/api/_sidecar/events"


class Remembering:
    """Takes every delivery with a signature, or fails at each."""

    max_body = 16

    def __init__(self, *, fails: bool = False) -> None:
        self.bodies: list[bytes | None] = []
        self.outcomes: list[str] = []
        self._fails = fails

    def refuse_unread(self, fields: Headers) -> DeliveryOutcome | None:
        return None if (b"signature", b"good") in fields else DeliveryOutcome.UNSIGNED

    def answered(self, outcome: DeliveryOutcome) -> None:
        self.outcomes.append(outcome.value)

    def receive(self, fields: Headers, body: bytes | None) -> DeliveryOutcome:
        assert dict(fields)[b"host"] == b"h"
        self.bodies.append(body)
        if self._fails:
            raise LookupError("a fault of ours")
        return DeliveryOutcome.TOO_LARGE if body is None else DeliveryOutcome.APPLIED


@contextlib.asynccontextmanager
async def door(
    receiver: Remembering, body_seconds: float = BODY_SECONDS
) -> AsyncIterator[tuple[Stage, ScriptedUpstream]]:
    """Run a data plane with a door, before an upstream that says ok."""
    async with ScriptedUpstream() as upstream:
        stage = Stage(AllowingEngine(), upstream.port, Limits(), ())
        gateway: Gateway = stage.gateway
        stage.server = Server(
            EventDoor(gateway, PATH, receiver, body_seconds=body_seconds),
            limits=Limits(),
            trusted=(),
            observer=RememberingRequests(),
        )
        stage.port = await stage.server.start("127.0.0.1", 0)
        try:
            yield stage, upstream
        finally:
            await stage.server.close()
            await stage.pool.close()


HEAD = b"POST %b HTTP/1.1\r\nhost: h\r\nsignature: good\r\n" % PATH.encode()
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"


def post(path: str, body: bytes = b"{}", method: str = "POST") -> bytes:
    """Write a request."""
    head = b"%b %b HTTP/1.1\r\nhost: h\r\nsignature: good\r\n" % (method.encode(), path.encode())
    return head + b"content-length: %d\r\n\r\n%b" % (len(body), body)


async def test_a_delivery_is_taken_and_the_product_sees_nothing() -> None:
    """And the connection lives on."""
    receiver = Remembering()
    async with door(receiver) as (stage, upstream), stage.client() as client:
        for number in range(2):
            await client.send(post(PATH, b"{%d}" % number))
            answer = await client.answer()
            assert (answer.status, answer.reason) == (200, b"OK")
        assert receiver.bodies == [b"{0}", b"{1}"]
        assert upstream.requests == []


@pytest.mark.parametrize(
    ("path", "method"),
    [
        (PATH + "/", "POST"),
        (PATH + "?a=b", "POST"),
        (PATH.upper(), "POST"),
        ("/api/%5fsidecar/events", "POST"),
        (PATH, "PUT"),
    ],
)
async def test_anything_else_is_a_call(path: str, method: str) -> None:
    """By its exact path and method alone."""
    receiver = Remembering()
    async with door(receiver) as (stage, upstream), stage.client() as client:
        await client.send(post(path, method=method))
        await client.answer()
        assert receiver.bodies == []
        assert len(upstream.requests) == 1


async def test_a_chunked_delivery_is_read_unframed() -> None:
    """The signature is over the content."""
    receiver = Remembering()
    async with door(receiver) as (stage, _), stage.client() as client:
        await client.send(
            CHUNKED,
            b'3\r\n{"a\r\n',
            b'4\r\n":1}\r\n0\r\n\r\n',
        )
        assert (await client.answer()).status == 200
    assert receiver.bodies == [b'{"a":1}']


async def test_an_oversize_delivery_is_refused_unread() -> None:
    """The connection closes, and its rest is no request."""
    receiver = Remembering()
    async with door(receiver) as (stage, upstream):
        came = await stage.talk(post(PATH, b"x" * 17)[:-5])
        assert statuses(came) == (413,)
        assert receiver.bodies == [None]
        assert upstream.requests == []


async def test_a_broken_body_is_no_delivery() -> None:
    """400, and the receiver does not get it."""
    receiver = Remembering()
    async with door(receiver) as (stage, _), stage.client() as client:
        await client.send(CHUNKED + b"3\r\nabc\r\n", b"zz\r\n", pause=0.05)
        assert statuses(await client.rest()) == (400,)
    assert (receiver.bodies, receiver.outcomes) == ([], ["broken"])


async def test_a_delivery_without_room_is_asked_to_come_again() -> None:
    """503: nothing is wrong with it."""
    receiver = Remembering()
    async with door(receiver) as (stage, _), stage.client() as client:
        stage.gateway.memory.used = stage.gateway.memory.limit
        await client.send(post(PATH, b"x" * 10)[:-5])
        assert (await client.answer()).status == 503
    assert (receiver.bodies, receiver.outcomes) == ([], ["no_room"])


async def test_a_fault_of_ours_is_500() -> None:
    """The platform tries again."""
    async with door(Remembering(fails=True)) as (stage, _), stage.client() as client:
        await client.send(post(PATH))
        assert (await client.answer()).status == 500


async def test_a_sender_that_goes_away_leaves_nothing() -> None:
    """Half a body, and gone."""
    receiver = Remembering()
    async with door(receiver) as (stage, _):
        async with stage.client() as client:
            await client.send(post(PATH, b"x" * 10)[:-5])
            client.reset()
        await stage.server.close()
        assert stage.server.open_connections == 0
    assert receiver.bodies == []


async def test_a_delivery_refused_by_its_head_is_not_read() -> None:
    """401 at once, though its body has not come, and the connection closes."""
    receiver = Remembering()
    async with door(receiver) as (stage, _), stage.client() as client:
        await client.send(
            b"POST %b HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n"
            b"expect: 100-continue\r\n\r\n" % PATH.encode()
        )
        answer = await client.answer()
        assert (answer.status, answer.values(b"connection")) == (401, [b"close"])
    assert receiver.bodies == []


async def test_a_body_has_seconds() -> None:
    """However it trickles in: 408, and the connection closes."""
    receiver = Remembering()
    async with door(receiver, body_seconds=0.2) as (stage, _), stage.client() as client:
        sending = asyncio.ensure_future(
            client.send(post(PATH, b"x" * 10)[:-9], *[b"x"] * 8, pause=0.05)
        )
        assert statuses(await client.rest()) == (408,)
        sending.cancel()
    assert (receiver.bodies, receiver.outcomes) == ([], ["too_slow"])


async def test_slow_strangers_keep_no_delivery_out() -> None:
    """A whole one needs no place, and one that has to be waited for takes the oldest one's."""
    receiver = Remembering()
    async with door(receiver) as (stage, _), contextlib.AsyncExitStack() as clients:
        slow = post(PATH, b"x" * 10)[:-5]
        crowd = [await clients.enter_async_context(stage.client()) for _ in range(AT_ONCE)]
        for client in crowd:
            await client.send(slow)
        await eventually(lambda: stage.server.open_connections == AT_ONCE)
        async with stage.client() as whole, stage.client() as halved:
            await whole.send(post(PATH))
            assert (await whole.answer()).status == 200
            assert receiver.outcomes == ["applied"]
            await halved.send(slow)
            assert (await crowd[0].answer()).status == 503
            await halved.send(b"y" * 5)
            assert (await halved.answer()).status == 200
        await crowd[1].send(b"x" * 5)
        assert (await crowd[1].answer()).status == 200
    assert receiver.bodies == [b"{}", b"x" * 5 + b"y" * 5, b"x" * 10]
    assert receiver.outcomes == ["applied", "crowded_out", "applied", "applied"]
