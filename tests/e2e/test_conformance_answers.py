"""Answers of a hostile or broken upstream: conformance families 14 to 18.

Each answer is sent whole and cut at every byte. The client sees the whole answer, or a 502, or an
answer that is plainly cut off; and the connection of a bad answer is never used again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import pytest

from sidecar.domain.model import AttemptEnd
from tests.fakes.upstreams import OK, Ending, Received, RefusingPort, ScriptedUpstream, Step
from tests.plane import AT_ONCE, PROVABLE, Stage, eventually, staged, statuses

GET: Final = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"


def answer(*fields: bytes, body: bytes = b"", line: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """Return an answer of these lines."""
    return b"\r\n".join((line, *fields, b"", body))


def cut_by_target(data: bytes, *after: Step) -> Callable[[Received], list[Step]]:
    """Return an upstream's answer to `/N`: `data` in two packets, cut at N."""

    def steps(request: Received) -> list[Step]:
        cut = int(request.target[1:])
        return [data[:cut], 0.002, data[cut:], *after] if cut else [data, *after]

    return steps


async def ask_every_cut(stage: Stage, data: bytes) -> list[bytes]:
    """Ask for the answer in every cut, on a connection each; return all that came, each time."""
    room = asyncio.Semaphore(AT_ONCE)

    async def once(cut: int) -> bytes:
        async with room, stage.client() as client:
            await client.send(b"GET /%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % cut)
            return await client.rest()

    return await asyncio.gather(*(once(cut) for cut in range(len(data))))


BAD_HEADS: Final = {
    "both framings": answer(b"Content-Length: 3", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "both framings, the other way": answer(
        b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"
    ),
    "two lengths": answer(b"Content-Length: 3", b"Content-Length: 2", body=b"abc"),
    "two lengths on one line": answer(b"Content-Length: 3, 2", body=b"abc"),
    "length below nought": answer(b"Content-Length: -3", body=b"abc"),
    "length with letters": answer(b"Content-Length: 3a", body=b"abc"),
    "other coding": answer(b"Transfer-Encoding: gzip", body=b"abc"),
    "chunked twice": answer(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "chunked on 1.0": answer(
        b"Transfer-Encoding: chunked", body=b"0\r\n\r\n", line=b"HTTP/1.0 200 OK"
    ),
    "NUL in a value": answer(b"X: y\x00z", b"Content-Length: 0"),
    "LF in a value": answer(b"X: y\nSet-Cookie: z=1", b"Content-Length: 0"),
    "CR in a value": answer(b"X: y\rSet-Cookie: z=1", b"Content-Length: 0"),
    "folded line": answer(b"X: y", b" z", b"Content-Length: 0"),
    "space before the colon": answer(b"Content-Length : 0"),
    "control byte in the reason": answer(b"Content-Length: 0", line=b"HTTP/1.1 200 O\x01K"),
    "bare LF after the reason": answer(b"Content-Length: 0", line=b"HTTP/1.1 200 OK\nX: y"),
    "status of two digits": answer(b"Content-Length: 0", line=b"HTTP/1.1 20 OK"),
    "status of four digits": answer(b"Content-Length: 0", line=b"HTTP/1.1 2000 OK"),
    "status below 100": answer(b"Content-Length: 0", line=b"HTTP/1.1 099 OK"),
    "other version": answer(b"Content-Length: 0", line=b"HTTP/2.0 200 OK"),
    "no HTTP": b"hello\r\n\r\n",
    "too many fields": answer(*[b"X: y"] * 200, b"Content-Length: 0"),
}


@pytest.mark.parametrize("bad", BAD_HEADS.values(), ids=[*BAD_HEADS])
async def test_a_bad_head_is_a_502_however_it_is_cut(bad: bytes) -> None:
    """14: the client gets one 502, and the upstream's connection is used once."""
    async with (
        ScriptedUpstream(cut_by_target(bad, Ending.HOLD)) as upstream,
        staged(upstream=upstream) as stage,
    ):
        assert {statuses(came) for came in await ask_every_cut(stage, bad)} == {(502,)}
        assert len(upstream.bytes) == len(upstream.requests)
        assert set(stage.engine.executions) == {AttemptEnd.FAILED}


def whole(came: bytes) -> bool:
    """Say whether a client would take a chunked answer for a whole one."""
    return came.endswith(b"\r\n0\r\n\r\n") and b"\r\n\r\n" in came[:-5]


BROKEN_BODIES: Final = {
    "dies in a chunk": b"5\r\nab",
    "dies after a chunk": b"3\r\nabc\r\n",
    "dies before the last line": b"3\r\nabc\r\n0\r\n",
    "chunk with a bad size": b"3\r\nabc\r\nxyz\r\n",
    "chunk longer than its size": b"3\r\nabcd\r\n0\r\n\r\n",
    "bad trailer": b"3\r\nabc\r\n0\r\nnothing\r\n\r\n",
}


@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.RESET])
@pytest.mark.parametrize("body", BROKEN_BODIES.values(), ids=[*BROKEN_BODIES])
async def test_a_broken_chunked_answer_never_looks_whole(body: bytes, ending: Ending) -> None:
    """15: a 502, or the connection ends without the final chunk."""
    bad = answer(b"Transfer-Encoding: chunked", body=body)
    async with (
        ScriptedUpstream(cut_by_target(bad, 0.005, ending)) as upstream,
        staged(upstream=upstream) as stage,
    ):
        for came in await ask_every_cut(stage, bad):
            assert statuses(came) == (502,) or (statuses(came) == (200,) and not whole(came))
        assert set(stage.engine.executions) == {AttemptEnd.FAILED}


CHUNKED: Final = b"Transfer-Encoding: chunked"
GOOD: Final = {
    "counted": answer(b"Content-Length: 3", b"Set-Cookie: a=b", b"Set-Cookie: c=d", body=b"abc"),
    "chunked": answer(CHUNKED, body=b"3\r\nabc\r\n10\r\n" + b"x" * 16 + b"\r\n0\r\n\r\n"),
    "chunked, with extensions and trailers": answer(
        CHUNKED, body=b'003 ; a = "b;\\"";d\r\nabc\r\n0;c\r\nX-Sum: 1\r\nSet-Cookie: e=f\r\n\r\n'
    ),
    "until close": answer(b"X: y", body=b"abc\r\n0\r\n\r\n"),
    "until close on 1.0": answer(b"X: y", body=b"abc", line=b"HTTP/1.0 200 OK"),
    "after hints": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    + answer(b"Content-Length: 3", body=b"abc"),
    "a redirect": answer(b"Location: /%zz", b"Content-Length: 0", line=b"HTTP/1.1 302 Found"),
    "nothing": answer(b"X: z", line=b"HTTP/1.1 204 No Content"),
}


@pytest.mark.parametrize("good", GOOD.values(), ids=[*GOOD])
async def test_a_good_answer_is_the_same_however_it_is_cut(good: bytes) -> None:
    """14 to 17: status, fields, content and trailers do not depend on the packets."""
    changing = {b"x-request-id", b"ratelimit", b"date"}  # a number, and seconds that pass
    interim = good.count(b" 103 ")
    ending: list[Step] = [0.002, Ending.CLOSE] if b"X: y" in good else []
    room = asyncio.Semaphore(AT_ONCE)

    async def once(cut: int) -> tuple[object, ...]:
        async with room, stage.client() as client:
            await client.send(GET % (b"/%d" % cut))
            for _ in range(interim):
                assert (await client.answer()).status == 103
            got = await client.answer()
            fields = tuple(field for field in got.headers if field[0] not in changing)
            return got.status, got.reason, fields, got.body, tuple(got.trailers)

    async with (
        ScriptedUpstream(cut_by_target(good, *ending)) as upstream,
        staged(upstream=upstream) as stage,
    ):
        seen = set(await asyncio.gather(*(once(cut) for cut in range(len(good)))))
        assert len(seen) == 1, seen
        assert len(upstream.requests) == len(good)


@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.RESET])
async def test_a_counted_answer_that_dies_stays_short(ending: Ending) -> None:
    """15: the client is told the whole length, gets a part, and the connection ends."""
    bad = answer(b"Content-Length: 10", body=b"abc")
    async with (
        ScriptedUpstream(lambda _: [bad, 0.02, ending]) as upstream,
        staged(upstream=upstream) as stage,
        stage.client() as client,
    ):
        await client.send(GET % b"/")
        with pytest.raises(asyncio.IncompleteReadError):
            await client.answer()
        assert stage.observer.of("upstream_failed") == ["cut_off"]


async def test_a_cut_answer_to_1_0_ends_in_a_reset() -> None:
    """15: where only the end of the connection tells the whole, a part ends in an error."""
    bad = answer(b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n")
    async with (
        ScriptedUpstream(lambda _: [bad, 0.02, Ending.CLOSE]) as upstream,
        staged(upstream=upstream) as stage,
        stage.client() as client,
    ):
        await client.send(b"GET / HTTP/1.0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await client.rest()


@pytest.mark.parametrize(
    ("steps", "kind"),
    [
        ([Ending.CLOSE], "closed_early"),
        ([Ending.RESET], "closed_early"),
        ([b"HTTP/1.1 200", Ending.CLOSE], "cut_off"),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", Ending.CLOSE], "cut_off"),
    ],
    ids=["close", "reset", "half a head", "after a 100"],
)
async def test_no_answer_is_a_502(steps: list[Step], kind: str) -> None:
    """15: a request that was read and not answered is not sent again."""
    async with ScriptedUpstream(lambda _: steps) as upstream, staged(upstream=upstream) as stage:
        came = await stage.talk(b"GET / HTTP/1.0\r\n\r\n")
        assert statuses(came) == (502,)
        assert len(upstream.requests) == 1
        assert stage.observer.of("upstream_failed") == [kind]


@pytest.mark.parametrize(
    ("method", "line"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK"),
        (b"GET", b"HTTP/1.1 204 No Content"),
        (b"GET", b"HTTP/1.1 304 Not Modified"),
    ],
    ids=["HEAD", "204", "304"],
)
@pytest.mark.parametrize("pause", [[], [0.02]], ids=["at once", "later"])
async def test_a_body_where_none_belongs_is_dropped(
    method: bytes, line: bytes, pause: list[Step]
) -> None:
    """16: the next answer on the client's connection is its own."""
    bad = answer(b"Content-Length: 5", line=line)

    def steps(request: Received) -> list[Step]:
        return [OK] if request.target == b"/next" else [bad, *pause, b"HTTP/", Ending.HOLD]

    async with (
        ScriptedUpstream(steps) as upstream,
        staged(upstream=upstream) as stage,
        stage.client() as client,
    ):
        await client.send(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.answer(method.decode())
        await asyncio.sleep(0.05)
        await client.send(GET % b"/next")
        assert (await client.answer()).body == b"ok"


@pytest.mark.parametrize(
    ("method", "line"),
    [(b"HEAD", b"HTTP/1.1 200 OK"), (b"GET", b"HTTP/1.1 304 Not Modified")],
    ids=["HEAD", "304"],
)
async def test_a_body_that_comes_late_is_nobodys_answer(method: bytes, line: bytes) -> None:
    """16: not even when the next request is sent before the body arrives."""
    body = answer(b"Content-Length: 6", body=b"poison")

    def steps(request: Received) -> list[Step]:
        if request.target == b"/next":
            return [OK]
        return [answer(b"Content-Length: %d" % len(body), line=line), 0.03, body]

    async with (
        ScriptedUpstream(steps) as upstream,
        staged(upstream=upstream) as stage,
        stage.client() as client,
    ):
        await client.send(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n" + GET % b"/next")
        await client.answer("HEAD")
        assert (await client.answer()).body == b"ok"


async def test_bytes_after_the_answer_are_dropped() -> None:
    """16: an answer nobody asked for reaches nobody, and its connection is not used again."""
    stray = answer(b"Content-Length: 5", body=b"stray")

    def steps(request: Received) -> list[Step]:
        return [OK] if request.target == b"/next" else [OK + stray, Ending.HOLD]

    async with (
        ScriptedUpstream(steps) as upstream,
        staged(upstream=upstream) as stage,
        stage.client() as client,
    ):
        await client.send(GET % b"/")
        await client.answer()
        await client.send(GET % b"/next")
        assert (await client.answer()).body == b"ok"
        assert len(upstream.bytes) == 2


async def test_no_length_on_204() -> None:
    """16: a 204 that names a length is passed on without it (RFC 9110, 8.6)."""
    bad = answer(b"Content-Length: 5", line=b"HTTP/1.1 204 No Content")
    async with ScriptedUpstream(bad) as upstream, staged(upstream=upstream) as stage:
        assert (await stage.ask(GET % b"/")).values(b"content-length") == []


async def test_the_length_of_a_head_answer_stays() -> None:
    """16: HEAD tells the length that GET would have."""
    long = answer(b"Content-Length: 99")
    async with ScriptedUpstream(long) as upstream, staged(upstream=upstream) as stage:
        head = await stage.ask(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", method="HEAD")
        assert head.values(b"content-length") == [b"99"]


INTERIM: Final = (
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
)


async def test_interim_answers_pass() -> None:
    """17: 100 and 103 reach a client that speaks 1.1, in order, with their fields."""
    async with (
        ScriptedUpstream(INTERIM + OK) as upstream,
        staged(upstream=upstream) as stage,
        stage.client() as client,
    ):
        await client.send(GET % b"/")
        answers = [await client.answer() for _ in range(3)]
        assert [each.status for each in answers] == [100, 103, 200]
        assert answers[1].values(b"link") == [b"</a.css>; rel=preload"]


async def test_interim_answers_do_not_reach_1_0() -> None:
    """17: a client of HTTP/1.0 would take them for the answer."""
    async with ScriptedUpstream(INTERIM + OK) as upstream, staged(upstream=upstream) as stage:
        assert statuses(await stage.talk(b"GET / HTTP/1.0\r\n\r\n")) == (200,)


async def test_redirects_pass_unfollowed() -> None:
    """17: Location comes back byte for byte, and nobody asks for it."""
    moved = answer(b"Location: http://b/%zz?x", b"Content-Length: 0", line=b"HTTP/1.1 302 Found")
    async with ScriptedUpstream(moved) as upstream, staged(upstream=upstream) as stage:
        got = await stage.ask(GET % b"/")
        assert (got.status, got.values(b"location")) == (302, [b"http://b/%zz?x"])
        assert len(upstream.requests) == 1


async def test_coded_bodies_pass_byte_for_byte() -> None:
    """17: what the upstream compressed stays as it is."""
    body = bytes(range(256)) * 3
    coded = answer(b"Content-Encoding: gzip", b"Content-Length: 768", body=body)
    async with ScriptedUpstream(coded) as upstream, staged(upstream=upstream) as stage:
        got = await stage.ask(GET % b"/")
        assert (got.values(b"content-encoding"), got.body) == ([b"gzip"], body)


async def test_cookies_stay_with_their_client() -> None:
    """17: a cookie that was set for one client is sent by no other, and set for no other."""

    def steps(request: Received) -> list[Step]:
        cookie = b"Set-Cookie: s=%b" % request.target[1:]
        return [answer(cookie, b"Content-Length: 0")]

    async with ScriptedUpstream(steps) as upstream, staged(upstream=upstream) as stage:
        first, second = await stage.ask(GET % b"/one"), await stage.ask(GET % b"/two")
        assert (first.values(b"set-cookie"), second.values(b"set-cookie")) == (
            [b"s=one"],
            [b"s=two"],
        )
        assert [request.values(b"cookie") for request in upstream.requests] == [[], []]


async def test_several_cookies_stay_several() -> None:
    """17: two Set-Cookie lines are never joined into one."""
    two = answer(b"Set-Cookie: a=1", b"Set-Cookie: b=2", b"Content-Length: 0")
    async with ScriptedUpstream(two) as upstream, staged(upstream=upstream) as stage:
        assert (await stage.ask(GET % b"/")).values(b"set-cookie") == [b"a=1", b"b=2"]


async def test_idle_connection_closed_before_the_request_is_tried_again() -> None:
    """18: the upstream closes while we write: not one byte was read, so it is sent once more."""

    def steps(request: Received) -> list[Step]:
        return [OK, 0.05, Ending.CLOSE] if request.target == b"/first" else [OK]

    async with ScriptedUpstream(steps) as upstream, staged(upstream=upstream) as stage:
        await stage.ask(GET % b"/first")
        (connection,) = stage.pool._all
        connection.transport.pause_reading()  # so that the end is not seen in time
        await asyncio.sleep(0.1)
        asked = asyncio.ensure_future(stage.ask(GET % b"/second"))
        await eventually(lambda: connection not in stage.pool._idle)
        if not connection.transport.is_closing():
            connection.transport.resume_reading()
        assert (await asked).status == (200 if PROVABLE else 502)
        executed = [request.target for request in upstream.requests]
        assert executed == [b"/first", b"/second"][: 2 if PROVABLE else 1]
        second = AttemptEnd.DONE if PROVABLE else AttemptEnd.FAILED
        assert stage.engine.executions == [AttemptEnd.DONE, second]


async def test_idle_connection_closed_after_the_request_is_not_tried_again() -> None:
    """18: the upstream read the request and closed: it may have acted, so there is one try."""

    def steps(request: Received) -> list[Step]:
        return [OK] if request.target == b"/first" else [Ending.CLOSE]

    async with ScriptedUpstream(steps) as upstream, staged(upstream=upstream) as stage:
        await stage.ask(GET % b"/first")
        assert (await stage.ask(GET % b"/second")).status == 502
        assert [request.target for request in upstream.requests] == [b"/first", b"/second"]
        assert stage.engine.executions == [AttemptEnd.DONE, AttemptEnd.FAILED]


async def test_upstream_that_is_not_there() -> None:
    """18: no connection, so no execution: 502, and the units can be given back."""
    async with RefusingPort() as upstream, staged(upstream=upstream) as stage:
        assert (await stage.ask(GET % b"/")).status == 502
        assert stage.engine.executions == [AttemptEnd.UNREACHED]
        assert stage.observer.of("upstream_failed") == ["connect"]


@pytest.mark.parametrize(
    ("framing", "version", "body"),
    [
        (b"Transfer-Encoding: chunked", b"HTTP/1.1", b"3\r\nabc\r\n0\r\n\r\n"),
        (b"X: y", b"HTTP/1.1", b"abc"),
        (b"X: y", b"HTTP/1.0", b"abc"),
        (b"Content-Length: 3", b"HTTP/1.0", b"abc"),
        (b"Content-Length: 3", b"HTTP/1.1", b"abc"),
    ],
    ids=["chunked", "until close", "until close on 1.0", "counted on 1.0", "counted"],
)
@pytest.mark.parametrize("minor", [b"0", b"1"], ids=["client 1.0", "client 1.1"])
async def test_every_framing_reaches_every_client(
    framing: bytes, version: bytes, body: bytes, minor: bytes
) -> None:
    """17: the client reads the whole answer by the framing that its version knows."""
    data = answer(framing, body=body, line=version + b" 200 OK")
    async with (
        ScriptedUpstream(lambda _: [data, 0.01, Ending.CLOSE]) as upstream,
        staged(upstream=upstream) as stage,
    ):
        got = await stage.ask(b"GET / HTTP/1.%b\r\nHost: a\r\n\r\n" % minor)
        assert got.body == b"abc"
        assert minor == b"1" or got.values(b"transfer-encoding") == []


async def test_trailers_of_an_answer_pass_but_for_those_that_rule() -> None:
    """17: a checksum behind the body reaches the client; a cookie or a length there does not."""
    data = answer(
        b"Transfer-Encoding: chunked",
        body=b"3\r\nabc\r\n0\r\nX-Sum: 1\r\nSet-Cookie: a=b\r\nContent-Length: 9\r\n\r\n",
    )
    async with ScriptedUpstream(data) as upstream, staged(upstream=upstream) as stage:
        assert (await stage.ask(GET % b"/")).trailers == [(b"x-sum", b"1")]
