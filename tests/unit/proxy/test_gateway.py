"""The path of a request: decided, refused or forwarded, relayed, settled, observed."""

from __future__ import annotations

import asyncio
import logging

import orjson
import pytest

from sidecar.domain.choices import ErrorFormat
from sidecar.domain.cors import Cors, parse_origin_pattern
from sidecar.domain.model import AttemptEnd, Call, Decision, Reason, RequestIdOrigin
from sidecar.http1.framing import BodyFraming
from sidecar.proxy.connection import ServerConnection
from sidecar.proxy.relay import Relay
from sidecar.settings.sections import Limits
from tests.fakes.engines import (
    AllowingEngine,
    FaultyEngine,
    HeldEngine,
    MarkingEngine,
    ReadingEngine,
    RefusingEngine,
    UnsettlingEngine,
)
from tests.fakes.upstreams import (
    OK,
    Ending,
    HeldUpstream,
    Received,
    RefusingPort,
    ScriptedUpstream,
    Step,
)
from tests.loops import pass_time
from tests.plane import PROVABLE, eventually, staged, statuses

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"


async def test_the_engine_sees_the_call_as_it_came() -> None:
    """Method, raw path without the query, every field, the request ID and whose it is."""
    engine = AllowingEngine()
    async with staged(engine) as stage:
        await stage.ask(b"PUT /a%2f?b=c HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-A: 2\r\n\r\n")
    (call,) = engine.calls
    assert call == Call(
        "PUT",
        "/a%2f",
        "b=c",
        [(b"host", b"a"), (b"x-a", b"1"), (b"x-a", b"2")],
        "stage-1",
        RequestIdOrigin.GENERATED,
    )


@pytest.mark.parametrize("case", ["unreadable", "draining"])
async def test_what_has_no_route_is_answered_in_the_policys_format(case: str) -> None:
    """So that an SDK finds its own error object also where no route was looked for."""
    engine = AllowingEngine()
    engine.errors = ErrorFormat.OPENAI
    async with staged(engine) as stage:
        stage.gateway.drain.draining = case == "draining"
        answer = await stage.ask(GET if case != "unreadable" else b"GET / HTTP/1.1\r\n\r\n")
    assert orjson.loads(answer.body)["error"]["request_id"] == "stage-1"


async def test_an_allowed_call_is_told_and_settled() -> None:
    """Forwarded, then finished with the upstream's status; the permit ends as done."""
    async with staged() as stage:
        assert (await stage.ask(GET)).status == 200
    assert stage.observer.told == [
        ("forwarded", "route"),
        ("finished", Reason.WITHIN_QUOTA, 200),
    ]
    assert stage.engine.executions == [AttemptEnd.DONE]


async def test_a_refused_call_is_told_and_not_forwarded() -> None:
    """Finished with the refusal's status, and nothing else."""
    async with staged(RefusingEngine()) as stage:
        assert (await stage.ask(POST % b"/deny")).status == 429
    assert stage.observer.told == [("finished", Reason.OVER_QUOTA, 429)]


async def test_a_5xx_of_the_product_is_a_failed_attempt() -> None:
    """It passes as it is, and the engine may give the units back."""
    broken = b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno"
    async with ScriptedUpstream(broken) as upstream, staged(upstream=upstream) as stage:
        answer = await stage.ask(GET)
    assert (answer.status, answer.reason, answer.body) == (503, b"Busy", b"no")
    assert stage.engine.executions == [AttemptEnd.FAILED]


async def test_a_marked_answer_says_so() -> None:
    """What was let through in spite of something carries the reason."""
    async with staged(MarkingEngine()) as stage:
        assert (await stage.ask(GET)).values(b"x-quota-decision") == [b"fail_open"]


async def test_a_fault_of_the_engine_is_a_500_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The client gets the request ID, the log the cause, the connection the next request."""
    async with staged(FaultyEngine()) as stage, stage.client() as client:
        trace = b"traceparent: 00-%b-00f067aa0ba902b7-01\r\n\r\n" % (b"4b" * 16)
        await client.send(GET.replace(b"/ ", b"/fault ").removesuffix(b"\r\n") + trace)
        answer = await client.answer()
        assert (answer.status, answer.values(b"x-request-id")) == (500, [b"stage-1"])
        await client.send(GET)
        assert (await client.answer()).status == 200
    (record,) = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert record.message == "fault"
    assert record.exc_info is not None
    assert record.__dict__["request_id"] == "stage-1"
    assert record.__dict__["trace_id"] == "4b" * 16


async def test_a_fault_with_a_body_on_its_way_closes(caplog: pytest.LogCaptureFixture) -> None:
    """The rest of the body is no request."""
    head = b"POST /fault HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n"
    async with staged(FaultyEngine()) as stage:
        assert statuses(await stage.talk(head, GET)) == (500,)
    assert "fault" in caplog.text


async def test_a_fault_after_the_answer_cuts_the_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What went wrong behind an answer that is out is logged, and nothing is added to it."""
    async with staged(UnsettlingEngine()) as stage:
        came = await stage.talk(GET)
        assert statuses(came) in {(200,), ()}
    assert "fault" in caplog.text


async def test_a_broken_observer_does_not_hold_the_connection() -> None:
    """The exchange ends, and the connection takes the next request."""
    async with staged() as stage, stage.client() as client:
        finished = stage.observer.request_finished

        def breaks(
            decision: Decision, code: int, seconds: float, added: float | None = None
        ) -> None:
            stage.observer.request_finished = finished  # type: ignore[method-assign]
            raise RuntimeError("the metrics are broken")

        stage.observer.request_finished = breaks  # type: ignore[method-assign]
        unhandled: list[object] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: unhandled.append(context["exception"]))
        await client.send(GET)
        assert (await client.answer()).status == 200
        await client.send(GET)
        assert (await client.answer()).status == 200
        assert stage.gateway.drain.inflight == 0


async def test_a_client_that_leaves_in_the_answer_is_told_with_its_status() -> None:
    """The code of a request is what was sent of it, also when the client did not stay."""
    stream = b"HTTP/1.1 206 Part\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    async with (
        ScriptedUpstream(lambda _: [stream, Ending.HOLD]) as upstream,
        staged(upstream=upstream) as stage,
    ):
        async with stage.client() as client:
            await client.send(GET)
            await client.reader.readuntil(b"abc\r\n")
            client.reset()
        await eventually(lambda: stage.gateway.drain.inflight == 0)
        assert stage.observer.of("finished") == [(Reason.WITHIN_QUOTA, 206)]


async def test_a_client_that_leaves_before_is_told_without_a_code() -> None:
    """Nobody was answered: code 0."""
    engine = HeldEngine()
    async with staged(engine) as stage:
        async with stage.client() as client:
            await client.send(GET)
            await engine.asked.wait()
            client.reset()
        await eventually(lambda: stage.gateway.drain.inflight == 0)
        assert [code for _, code in stage.observer.of("finished")] == [0]


async def test_a_client_that_leaves_as_its_answer_ends_takes_no_connection_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The connection is another exchange's by then: that one is answered (conformance 58)."""
    limits = Limits(upstream_connections=1, connect_timeout=5.0)
    leaver: list[ServerConnection] = []
    on_end = Relay.on_end

    def leaves_as_it_ends(self: Relay, data: bytes, body: BodyFraming) -> None:
        on_end(self, data, body)
        if not leaver:  # as `connection_lost` does, in the same turn of the loop
            leaver.append(self._client)
            assert self._client.exchange is not None
            self._client.exchange.cancel()

    monkeypatch.setattr(Relay, "on_end", leaves_as_it_ends)
    async with (
        HeldUpstream() as upstream,
        staged(upstream=upstream, limits=limits) as stage,
        stage.client() as first,
        stage.client() as second,
    ):
        await first.send(GET)
        await upstream.asked.wait()
        await second.send(GET)
        await eventually(lambda: stage.gateway.drain.inflight == 2)
        upstream.answer.set()
        assert (await second.answer()).status == 200
        assert stage.engine.executions == [AttemptEnd.DONE, AttemptEnd.DONE]


async def test_a_client_that_leaves_while_connecting_reaches_nobody() -> None:
    """The permit ends as unreached: not a byte of the request has left."""
    limits = Limits(upstream_connections=1, connect_timeout=5.0)
    async with (
        ScriptedUpstream(lambda _: [Ending.HOLD]) as upstream,
        staged(upstream=upstream, limits=limits) as stage,
        stage.client() as first,
    ):
        await first.send(GET)
        await eventually(lambda: len(upstream.requests) == 1)
        async with stage.client() as second:
            await second.send(GET)
            await eventually(lambda: stage.gateway.drain.inflight == 2)
            second.reset()
        await eventually(lambda: stage.gateway.drain.inflight == 1)
        assert stage.engine.executions == [AttemptEnd.UNREACHED]
        assert len(upstream.requests) == 1


async def test_a_body_that_breaks_late_ends_both_sides() -> None:
    """The upstream is cut in the middle, the client gets its 400, the attempt counts as done."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    async with ScriptedUpstream() as upstream, staged(upstream=upstream) as stage:
        async with stage.client() as client:
            await client.send(head)
            await eventually(lambda: len(upstream.requests) == 1)
            await client.send(b"xyz\r\n" + GET)
            assert statuses(await client.rest()) == (400,)
        assert stage.engine.executions == [AttemptEnd.DONE]
        assert stage.observer.of("finished") == [(Reason.WITHIN_QUOTA, 400)]
        await eventually(lambda: upstream.open_connections == 0)
        assert not upstream.requests[0].complete


async def test_a_body_that_breaks_while_it_is_read_is_a_400() -> None:
    """The engine hears of it as an error, and the client as a 400."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    async with (
        ScriptedUpstream() as upstream,
        staged(ReadingEngine(), upstream) as stage,
        stage.client() as client,
    ):
        await client.send(head)
        await client.delivered()
        await pass_time(1.0)
        await client.send(b"xyz\r\n" + GET)
        assert statuses(await client.rest()) == (400,)
        assert upstream.untouched


async def test_a_body_that_breaks_during_the_decision_reaches_nobody() -> None:
    """The decision came too late for a request that is none: the permit ends as unreached."""
    engine = HeldEngine()
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    async with (
        ScriptedUpstream() as upstream,
        staged(engine, upstream) as stage,
        stage.client() as client,
    ):
        await client.send(head)
        await engine.asked.wait()
        await client.send(b"xyz\r\n")
        await asyncio.sleep(0.05)
        engine.release.set()
        assert statuses(await client.rest()) == (400,)
        assert upstream.untouched
        assert engine.executions == [AttemptEnd.UNREACHED]


async def test_a_second_try_is_forwarded_once() -> None:
    """Time added by us is told once; the second connection is a new one."""

    def steps(request: Received) -> list[Step]:
        return [OK, 0.05, Ending.CLOSE] if request.target == b"/first" else [OK]

    async with ScriptedUpstream(steps) as upstream, staged(upstream=upstream) as stage:
        await stage.ask(GET.replace(b"/ ", b"/first "))
        (connection,) = stage.pool._all
        connection.transport.pause_reading()  # so that the end is not seen in time
        await asyncio.sleep(0.1)
        asked = asyncio.ensure_future(stage.ask(POST % b"/second"))
        await eventually(lambda: connection not in stage.pool._idle)
        if not connection.transport.is_closing():
            connection.transport.resume_reading()
        assert (await asked).status == (200 if PROVABLE else 502)
        assert len(upstream.requests) == (2 if PROVABLE else 1)
        assert stage.observer.of("forwarded") == ["route", "route"]


async def test_an_upstream_that_is_gone_for_good_is_told() -> None:
    """The second try finds nobody: 502, and the units can be given back."""
    async with (
        ScriptedUpstream(lambda _: [OK, 0.05, Ending.CLOSE]) as upstream,
        staged(upstream=upstream) as stage,
    ):
        await stage.ask(GET)
        (connection,) = stage.pool._all
        connection.transport.pause_reading()
        await asyncio.sleep(0.1)
        await upstream.__aexit__()
        asked = asyncio.ensure_future(stage.ask(GET))
        await eventually(lambda: connection not in stage.pool._idle)
        if not connection.transport.is_closing():
            connection.transport.resume_reading()
        assert (await asked).status == 502
        second = AttemptEnd.UNREACHED if PROVABLE else AttemptEnd.FAILED
        assert stage.engine.executions == [AttemptEnd.DONE, second]


async def test_why_the_product_cannot_be_reached_is_reported() -> None:
    """The observer logs it: the kind of failure with its cause."""
    async with RefusingPort() as refusing, staged(upstream=refusing) as stage:
        assert (await stage.ask(GET)).status == 502
    assert str(refusing.port) in stage.observer.why


async def test_what_is_wrong_with_an_answer_is_reported() -> None:
    """The framing field that a 502 is for is in the report."""
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n"
    async with ScriptedUpstream(answer) as upstream, staged(upstream=upstream) as stage:
        assert (await stage.ask(GET)).status == 502
    assert "content-length" in stage.observer.why.lower()


async def test_nobody_there_keeps_the_connection() -> None:
    """A 502 with the whole request read lets the client go on."""
    async with (
        RefusingPort() as upstream,
        staged(upstream=upstream) as stage,
        stage.client() as client,
    ):
        for _ in range(2):
            await client.send(POST % b"/")
            assert (await client.answer()).status == 502


async def test_host_is_the_upstreams_own_where_the_client_has_none() -> None:
    """HTTP/1.0 needs no Host; the upstream gets one all the same."""
    async with ScriptedUpstream() as upstream, staged(upstream=upstream) as stage:
        await stage.talk(b"GET / HTTP/1.0\r\n\r\n")
        assert upstream.requests[0].values(b"host") == [b"127.0.0.1:%d" % upstream.port]


@pytest.mark.parametrize(
    ("request_line", "connection", "kept"),
    [
        (b"GET / HTTP/1.1", b"", True),
        (b"GET / HTTP/1.1", b"Connection: close\r\n", False),
        (b"GET / HTTP/1.0", b"Host: a\r\n", False),
        (b"GET / HTTP/1.0", b"Connection: keep-alive\r\n", True),
    ],
)
@pytest.mark.parametrize("path", [b"/", b"/deny"])
async def test_the_connection_lives_as_the_client_wishes(
    request_line: bytes, connection: bytes, *, kept: bool, path: bytes
) -> None:
    """And the answer, ours or the product's, says so, and for how long it may be idle."""
    line = request_line.replace(b"/ ", path + b" ")
    request = b"\r\n".join((line, b"Host: a", connection)) + b"\r\n"
    if b"Host" in connection:
        request = line + b"\r\n\r\n"
    async with staged(RefusingEngine()) as stage, stage.client() as client:
        await client.send(request)
        answer = await client.answer()
        assert answer.values(b"connection") == [b"keep-alive" if kept else b"close"]
        assert answer.values(b"keep-alive") == [b"timeout=620"] * kept
        if not kept:
            assert await client.rest() == b""


PAGE = b" HTTP/1.1\r\nHost: a\r\nOrigin: https://app.acme.com\r\n\r\n"
PAGES = Cors((parse_origin_pattern("https://*.acme.com"),), credentials=True)


async def test_an_answer_of_our_own_can_be_read_by_an_allowed_page() -> None:
    """The product's answer is its own, and not touched."""
    engine = RefusingEngine()
    engine.cors = PAGES
    async with staged(engine) as stage:
        refused = await stage.ask(b"GET /deny" + PAGE)
        passed = await stage.ask(b"GET /" + PAGE)
    assert refused.values(b"access-control-allow-origin") == [b"https://app.acme.com"]
    assert refused.values(b"access-control-allow-credentials") == [b"true"]
    assert refused.values(b"vary") == [b"Origin"]
    assert passed.values(b"access-control-allow-origin") == passed.values(b"vary") == []


async def test_a_refusal_while_draining_can_be_read_too() -> None:
    """So that the page tries again, and shows no failure of the network."""
    engine = AllowingEngine()
    engine.cors = PAGES
    async with staged(engine) as stage:
        stage.gateway.drain.draining = True
        answer = await stage.ask(b"GET /" + PAGE)
    assert answer.status == 503
    assert answer.values(b"access-control-allow-origin") == [b"https://app.acme.com"]
