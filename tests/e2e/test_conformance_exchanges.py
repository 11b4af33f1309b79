"""One request after another on one connection: conformance families 7 and 10 to 13."""

from __future__ import annotations

import contextlib
from typing import Final

import pytest

from sidecar.domain.model import AttemptEnd
from sidecar.settings.sections import Limits
from tests.e2e.holding_back import full
from tests.fakes.engines import AllowingEngine, HeldEngine, ReadingEngine, RefusingEngine
from tests.fakes.upstreams import OK, Ending, Received, ScriptedUpstream, Step, TunnellingUpstream
from tests.plane import eventually, staged, statuses, talk_every_way

CHUNKED_POST: Final = b"POST /paid HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
SMUGGLED: Final = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
UPGRADE: Final = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"
)


def echo(request: Received) -> list[Step]:
    """Answer with the target."""
    return [
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(request.target), request.target)
    ]


async def test_trailers_are_no_headers() -> None:
    """7: a trailer stays behind the body, and those that rule or identify are dropped."""
    fields = b"X-Sum: 1\r\nX-BB-Org-Id: evil\r\nContent-Length: 9\r\nHost: b\r\nCookie: c=d\r\n"
    fields += (
        b"X-Original-URL: /b\r\nX.BB.Role: evil\r\nX_Sum: 2\r\nX-HTTP-Method-Override: PUT\r\n"
    )
    request = CHUNKED_POST + b"Trailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\n" + fields + b"\r\n"
    async with ScriptedUpstream() as upstream, staged(upstream=upstream) as stage:
        await stage.ask(request)
        (received,) = upstream.requests
    assert received.trailers == [(b"x-sum", b"1")]
    assert received.values(b"x-sum") == []


async def test_a_body_on_get_is_no_request() -> None:
    """10: GET with a body, then another request: two answers, in order."""
    first = b"GET /1 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED)
    last = b"GET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    async with ScriptedUpstream(echo) as upstream, staged(upstream=upstream) as stage:
        assert await talk_every_way(stage, first + SMUGGLED + last) == {(200, 200)}
        assert {request.target for request in upstream.requests} == {b"/1", b"/2"}
        assert {bytes(each.body) for each in upstream.requests} == {SMUGGLED, b""}


async def test_pipelined_requests_are_answered_in_order() -> None:
    """10: with bodies of both kinds, without, and refused in between, each its own answer."""
    requests = (
        b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
        b"POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        b"POST /deny HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        b"POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        b"HEAD /4 HTTP/1.1\r\nHost: a\r\n\r\n"
        b"GET /5 HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    async with (
        ScriptedUpstream(echo) as upstream,
        staged(RefusingEngine(), upstream) as stage,
        stage.client() as client,
    ):
        await client.send(requests)
        answers = [await client.answer("HEAD" if n == 4 else "GET") for n in range(6)]
    assert [each.status for each in answers] == [200, 200, 429, 200, 200, 200]
    assert [answers[n].body for n in (0, 1, 3, 5)] == [b"/1", b"/2", b"/3", b"/5"]


async def test_a_half_closed_client_gets_what_it_asked_for() -> None:
    """10: whole requests before the end of the stream are answered, then the connection ends."""
    async with ScriptedUpstream(echo) as upstream, staged(upstream=upstream) as stage:
        async with stage.client() as client:
            await client.send(
                b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /"
            )
            client.writer.write_eof()
            assert statuses(await client.rest()) == (200, 200)
        assert [request.target for request in upstream.requests] == [b"/1", b"/2"]


@pytest.mark.parametrize(
    "head",
    [
        b"POST /deny HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n",
        b"POST /deny HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n",
    ],
    ids=["counted", "chunked"],
)
async def test_refused_before_its_body_closes(head: bytes) -> None:
    """11: the rest of a refused body is never taken for a request."""
    async with ScriptedUpstream() as upstream, staged(RefusingEngine(), upstream) as stage:
        assert statuses(await stage.talk(head, SMUGGLED, SMUGGLED)) == (429,)
        assert upstream.untouched


async def test_refused_with_its_whole_body_goes_on() -> None:
    """11: where the body is there, the connection takes the next request."""
    refused = b"POST /deny HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    async with staged(RefusingEngine()) as stage, stage.client() as client:
        await client.send(refused + b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
        assert [(await client.answer()).status for _ in range(2)] == [429, 200]


async def test_answer_before_the_body_closes() -> None:
    """11: an upstream that answers early gets no second request, nor is the body taken for one."""
    head = b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"
    async with (
        ScriptedUpstream(echo, early=True) as upstream,
        staged(upstream=upstream) as stage,
    ):
        assert statuses(await stage.talk(head, SMUGGLED)) == (200,)
        await eventually(lambda: upstream.open_connections == 0)
        assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "fields",
    [
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc",
        b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
        b"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n",
        b"Connection: Upgrade\r\n\r\n",
        b"Upgrade: websocket\r\n\r\n",
    ],
    ids=["body", "h2c", "list", "nothing named", "not in Connection"],
)
async def test_no_upgrade_without_a_proper_wish(fields: bytes) -> None:
    """12: what is no proper upgrade goes on as a plain request, and the connection is sane."""
    request = b"GET /1 HTTP/1.1\r\nHost: a\r\n" + fields
    async with ScriptedUpstream(echo) as upstream, staged(upstream=upstream) as stage:
        async with stage.client() as client:
            await client.send(request + b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
            assert [(await client.answer()).body for _ in range(2)] == [b"/1", b"/2"]
        assert [request.values(b"upgrade") for request in upstream.requests] == [[], []]


async def test_upgrade_refused_with_200_is_no_tunnel() -> None:
    """12: what the client sent ahead for the tunnel is no request, and the connection ends."""
    async with ScriptedUpstream(echo) as upstream, staged(upstream=upstream) as stage:
        assert statuses(await stage.talk(UPGRADE + SMUGGLED)) == (200,)
        assert [request.target for request in upstream.requests] == [b"/ws"]


@pytest.mark.parametrize("protocol", [b"", b"Upgrade: other\r\n", b"Upgrade: websocket, other\r\n"])
async def test_101_to_something_else_is_no_tunnel(protocol: bytes) -> None:
    """12: a 101 that switches to what was not asked for is a broken answer."""
    switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n" + protocol + b"\r\n"
    async with ScriptedUpstream(switch) as upstream, staged(upstream=upstream) as stage:
        assert statuses(await stage.talk(UPGRADE)) == (502,)


async def test_101_unasked_is_no_tunnel() -> None:
    """12: a 101 to a plain request is a broken answer, and its connection is not used again."""
    switch = (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    async with ScriptedUpstream(switch) as upstream, staged(upstream=upstream) as stage:
        answer = await stage.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answer.status == 502
        await eventually(lambda: upstream.open_connections == 0)


async def test_tunnel_carries_what_was_sent_ahead() -> None:
    """12: bytes right behind the heads of both sides go through, and its fields frame nothing."""
    async with TunnellingUpstream(early=b"hello ") as upstream, staged(upstream=upstream) as stage:
        async with stage.client() as client:
            await client.send(UPGRADE + b"early ")
            head = await client.answer()
            assert head.status == 101
            assert head.values(b"content-length") == []
            assert await client.reader.readexactly(12) == b"hello EARLY "
            await client.send(b"bye")
            assert await client.rest() == b"BYE"
        assert stage.engine.executions == [AttemptEnd.DONE]


async def test_refused_upgrade_reaches_nobody() -> None:
    """12: an upgrade over quota gets its 429, and the upstream not a byte."""
    refused = UPGRADE.replace(b"/ws", b"/deny")
    async with ScriptedUpstream() as upstream, staged(RefusingEngine(), upstream) as stage:
        assert statuses(await stage.talk(refused + SMUGGLED)) == (429,)
        assert upstream.untouched


EXPECTING: Final = (
    b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-Continue\r\n\r\n"
)


async def test_over_quota_there_is_no_100() -> None:
    """13: the 429 comes at once, and the body that was never asked for is not waited for."""
    async with ScriptedUpstream() as upstream, staged(RefusingEngine(), upstream) as stage:
        assert statuses(await stage.talk(EXPECTING % b"/deny")) == (429,)
        assert upstream.untouched


async def test_the_100_is_the_upstreams() -> None:
    """13: the expectation goes through, the 100 comes back, then the body goes."""
    head = b"HTTP/1.1 100 Continue\r\n\r\n"
    async with (
        ScriptedUpstream(lambda _: [head, 0.02, OK], early=True) as upstream,
        staged(upstream=upstream) as stage,
        stage.client() as client,
    ):
        await client.send(EXPECTING % b"/1")
        assert (await client.answer()).status == 100
        await client.send(b"abc")
        assert (await client.answer()).status == 200
        (request,) = upstream.requests
        assert request.values(b"expect") == [b"100-continue"]
        await eventually(lambda: request.body == b"abc")


async def test_an_answer_without_100_leaves_the_next_request_clean() -> None:
    """13: the body that nobody asked for is neither sent nor taken for a request."""
    async with (
        ScriptedUpstream(echo, early=True) as upstream,
        staged(upstream=upstream) as stage,
    ):
        async with stage.client() as client:
            await client.send(EXPECTING % b"/1")
            assert (await client.answer()).status == 200
            with contextlib.suppress(ConnectionError):  # closed already, on a busy machine
                await client.send(SMUGGLED)
            assert await client.rest() == b""
        assert (await stage.ask(b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")).body == b"/2"
        assert [request.target for request in upstream.requests] == [b"/1", b"/2"]


async def test_a_body_that_is_read_here_is_asked_for_here() -> None:
    """13: the amount needs the body: one 100 of ours, and the upstream gets no expectation."""
    engine = ReadingEngine()
    async with (
        ScriptedUpstream(echo) as upstream,
        staged(engine, upstream) as stage,
        stage.client() as client,
    ):
        await client.send(EXPECTING % b"/1")
        assert (await client.answer()).status == 100
        await client.send(b"abc")
        assert (await client.answer()).body == b"/1"
        (request,) = upstream.requests
        assert request.values(b"expect") == []
        assert request.body == b"abc"
        assert engine.read == [b"abc"]


async def test_a_broken_upstream_after_our_100_is_still_told() -> None:
    """13: a 100 of ours is no answer: the 502 comes after it."""
    async with (
        ScriptedUpstream(lambda _: [Ending.CLOSE]) as upstream,
        staged(ReadingEngine(), upstream) as stage,
        stage.client() as client,
    ):
        await client.send(EXPECTING % b"/1" + b"")
        assert (await client.answer()).status == 100
        await client.send(b"abc")
        assert (await client.answer()).status == 502


async def test_who_does_not_wait_for_the_100_is_served() -> None:
    """13: a client that sends its body at once needs no 100, and the upstream no expectation."""
    async with ScriptedUpstream(echo) as upstream, staged(upstream=upstream) as stage:
        answer = await stage.ask(EXPECTING % b"/1" + b"abc")
        assert answer.body == b"/1"
        (request,) = upstream.requests
        assert request.values(b"expect") == []
        assert request.body == b"abc"


async def test_1_0_expects_nothing() -> None:
    """13: an expectation of HTTP/1.0 is ignored (RFC 9110, 10.1.1)."""
    request = EXPECTING.replace(b"HTTP/1.1", b"HTTP/1.0") % b"/1" + b"abc"
    async with ScriptedUpstream(echo) as upstream, staged(upstream=upstream) as stage:
        assert statuses(await stage.talk(request)) == (200,)
        assert upstream.requests[0].values(b"expect") == []


async def test_requests_wait_while_their_answers_are_not_read() -> None:
    """10: a client that pipelines without end and reads nothing costs a bounded memory."""
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000
    engine = AllowingEngine()
    async with (
        ScriptedUpstream(big) as upstream,
        staged(engine, upstream) as stage,
        stage.client() as client,
    ):
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 5_000)
        await full(stage)
        (connection,) = stage.server._connections
        assert connection.transport.get_write_buffer_size() < 1_000_000
        assert len(engine.calls) < 500
        client.writer.transport.abort()


async def test_nothing_leaves_before_the_decision() -> None:
    """11: while the engine thinks, the upstream gets no byte of the head or of the body."""
    engine = HeldEngine()
    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    async with (
        ScriptedUpstream() as upstream,
        staged(engine, upstream, limits=Limits()) as stage,
        stage.client() as client,
    ):
        await client.send(request)
        await engine.asked.wait()
        assert upstream.untouched
        engine.release.set()
        assert (await client.answer()).status == 200


CLOSE: Final = b"Connection: close\r\n"
LAST: Final = b"GET /last HTTP/1.1\r\nHost: a\r\n" + CLOSE + b"\r\n"
CONVERSATIONS: Final[dict[str, tuple[bytes, set[tuple[int, ...]]]]] = {
    "7 trailers": (
        CHUNKED_POST + b"\r\n3\r\nabc\r\n0\r\nX-BB-Org-Id: evil\r\nHost: b\r\n\r\n" + LAST,
        {(200, 200)},
    ),
    "11 refused, the whole body a request": (
        b"POST /deny HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED)
        + SMUGGLED
        + LAST,
        {(429,), (429, 200)},  # it closes where the body was still on its way
    ),
    "11 refused, in chunks": (
        CHUNKED_POST.replace(b"/paid", b"/deny")
        + b"\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
        + LAST,
        {(429,), (429, 200)},
    ),
    "12 an upgrade with a body": (
        b"GET /1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED + LAST,
        {(200, 200)},
    ),
    "12 an upgrade to h2c": (
        b"GET /1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABk\r\n\r\n" + LAST,
        {(200, 200)},
    ),
    "13 an expectation over quota": (EXPECTING % b"/deny" + b"abc" + LAST, {(429,), (429, 200)}),
    "13 an expectation and the body": (EXPECTING % b"/1" + b"abc" + LAST, {(200, 200)}),
}


@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize(("sent", "answers"), CONVERSATIONS.values(), ids=[*CONVERSATIONS])
async def test_a_conversation_is_the_same_however_it_is_cut(
    sent: bytes, answers: set[tuple[int, ...]]
) -> None:
    """7 and 11 to 13: nothing within a body or behind an upgrade is ever taken for a request."""
    async with ScriptedUpstream(echo) as upstream, staged(RefusingEngine(), upstream) as stage:
        assert await talk_every_way(stage, sent) <= answers
        assert b"/smuggled" not in {request.target for request in upstream.requests}
        assert upstream.broken == []
