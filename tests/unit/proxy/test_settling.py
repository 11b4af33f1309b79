"""Calls that are settled by their answers, on the data plane: what is read, and what is changed."""

from __future__ import annotations

import dataclasses

import pytest

from sidecar.domain.model import AttemptEnd
from sidecar.domain.usage import (
    Estimate,
    MissingCause,
    Terms,
    Tokens,
    Usage,
)
from sidecar.http1.response_heads import parse_response
from sidecar.proxy.settling import Settling
from tests.fakes.engines import SettlingEngine
from tests.fakes.upstreams import Ending, ScriptedUpstream
from tests.plane import eventually, staged
from tests.unit.admission.usage_rules import rule

TERMS = Terms(rule(request_usage=True), Estimate(0, None, None), 0, forgive=False)
SHADOW = dataclasses.replace(TERMS, shadow=True)

STREAM = b'{"stream":true,"messages":[]}'
PATH = b"/v1/chat/completions"
DELTA = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}\n\n'
DONE = b"data: [DONE]\n\n"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
JSON = b'{"model":"small","usage":{"prompt_tokens":7,"completion_tokens":3}}'


def chunked(*parts: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    """Frame each part as a chunk."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + end


def stream(*parts: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    """Answer with a chunked stream of events."""
    return EVENTS + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(*parts, end=end)


def post(body: bytes = STREAM, fields: bytes = b"", version: bytes = b"1.1") -> bytes:
    """Ask for a completion."""
    return (
        b"POST %b HTTP/%b\r\nHost: a\r\nContent-Length: %d\r\n%b\r\n" % (
            PATH, version, len(body), fields,
        )
        + body
    )  # fmt: skip


def post_chunked(body: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    """Ask for a completion in chunks of seven bytes."""
    parts = (body[at : at + 7] for at in range(0, len(body), 7))
    head = b"POST %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" % PATH
    return head + chunked(*parts, end=end)


async def test_a_json_answer_is_read_and_passes_as_it_came() -> None:
    """Its usage reaches the engine with the end of the attempt."""
    engine = SettlingEngine(TERMS)
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
    async with (
        ScriptedUpstream(answer % (len(JSON), JSON)) as upstream,
        staged(engine, upstream) as stage,
    ):
        assert (await stage.ask(post(b"{}"), method="POST")).body == JSON
    (usage,) = engine.usages
    assert usage == Usage(Tokens(7, 0, 0, 3), None, "small", 0, None)
    assert engine.executions == [AttemptEnd.DONE]


async def test_a_stream_is_asked_for_its_usage_and_the_client_does_not_see_it() -> None:
    """The request gets the option and its new length, the answer loses that one chunk."""
    engine = SettlingEngine(TERMS)
    async with (
        ScriptedUpstream(stream(DELTA, USAGE, DONE)) as upstream,
        staged(engine, upstream) as stage,
    ):
        assert (await stage.ask(post(), method="POST")).body == DELTA + DONE
        (request,) = upstream.requests
    assert request.body == b'{"stream_options":{"include_usage":true},' + STREAM[1:]
    assert request.values(b"content-length") == [b"%d" % len(request.body)]
    (usage,) = engine.usages
    assert usage is not None
    assert (usage.tokens, usage.missing) == (Tokens(7, 0, 0, 3), None)


async def test_a_chunked_request_is_asked_too() -> None:
    """It goes on with a length; in chunks it would be a client's way around its usage."""
    engine = SettlingEngine(TERMS)
    async with (
        ScriptedUpstream(stream(DELTA, USAGE, DONE)) as upstream,
        staged(engine, upstream) as stage,
    ):
        assert (await stage.ask(post_chunked(STREAM), method="POST")).body == DELTA + DONE
        (request,) = upstream.requests
    assert request.body == b'{"stream_options":{"include_usage":true},' + STREAM[1:]
    assert request.values(b"content-length") == [b"%d" % len(request.body)]
    assert request.values(b"transfer-encoding") == []


async def test_a_chunked_request_with_trailer_fields_stays_as_it_is() -> None:
    """They may be a digest of what it is."""
    sent = post_chunked(STREAM, end=b"0\r\nx-sum: 1\r\n\r\n")
    async with (
        ScriptedUpstream(stream(DELTA, DONE)) as upstream,
        staged(SettlingEngine(TERMS), upstream) as stage,
    ):
        await stage.ask(sent, method="POST")
        assert upstream.requests[0].body == STREAM


async def test_a_client_that_asked_gets_the_chunk() -> None:
    """And the request is what it sent."""
    asking = b'{"stream":true,"stream_options":{"include_usage":true}}'
    engine = SettlingEngine(TERMS)
    async with (
        ScriptedUpstream(stream(DELTA, USAGE, DONE)) as upstream,
        staged(engine, upstream) as stage,
    ):
        assert (await stage.ask(post(asking), method="POST")).body == DELTA + USAGE + DONE
        assert upstream.requests[0].body == asking


async def test_the_product_is_asked_for_a_plain_answer() -> None:
    """A compressed one could be read too, but not without work."""
    async with ScriptedUpstream() as upstream, staged(SettlingEngine(TERMS), upstream) as stage:
        await stage.ask(post(b"{}", b"Accept-Encoding: gzip\r\n"), method="POST")
        assert upstream.requests[0].values(b"accept-encoding") == [b"identity"]


async def test_in_shadow_no_byte_changes() -> None:
    """Neither of the request nor of the answer; it is read all the same."""
    engine = SettlingEngine(SHADOW)
    async with (
        ScriptedUpstream(stream(DELTA, USAGE, DONE)) as upstream,
        staged(engine, upstream) as stage,
    ):
        answer = await stage.ask(post(fields=b"Accept-Encoding: gzip\r\n"), method="POST")
        (request,) = upstream.requests
    assert (bytes(request.body), request.values(b"accept-encoding")) == (STREAM, [b"gzip"])
    assert answer.body == DELTA + USAGE + DONE
    assert engine.usages[0] is not None
    assert engine.usages[0].tokens == Tokens(7, 0, 0, 3)


async def test_in_shadow_an_answer_passes_in_the_chunks_that_it_came_in() -> None:
    """Whatever cuts them on the way; and its usage is read from what is in them."""
    engine = SettlingEngine(SHADOW)
    whole = DELTA + USAGE + DONE
    chunks = chunked(*(whole[at : at + 7] for at in range(0, len(whole), 7)))
    head = EVENTS + b"Transfer-Encoding: chunked\r\n\r\n"
    async with (
        ScriptedUpstream(head + chunks) as upstream,
        staged(engine, upstream) as stage,
    ):
        raw = await stage.talk(post(fields=b"Connection: close\r\n"))
    assert raw.partition(b"\r\n\r\n")[2] == chunks
    assert engine.usages[0] is not None
    assert engine.usages[0].tokens == Tokens(7, 0, 0, 3)


async def test_trailers_pass_behind_a_stream_that_is_framed_again() -> None:
    """As behind one that is not."""
    answer = stream(DELTA, end=b"0\r\nX-Checksum: 42\r\n\r\n")
    async with (
        ScriptedUpstream(answer) as upstream,
        staged(SettlingEngine(TERMS), upstream) as stage,
    ):
        got = await stage.ask(post(), method="POST")
    assert (got.body, got.trailers) == (DELTA, [(b"x-checksum", b"42")])


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_a_stream_that_ends_with_its_connection_is_read(version: bytes) -> None:
    """To each version of client."""
    engine = SettlingEngine(TERMS)
    steps: list[bytes | Ending] = [EVENTS + b"\r\n" + DELTA, USAGE + DONE, Ending.CLOSE]
    async with (
        ScriptedUpstream(lambda _: steps) as upstream,
        staged(engine, upstream) as stage,
    ):
        assert (await stage.ask(post(version=version), method="POST")).body == DELTA + DONE
    assert engine.usages[0] is not None
    assert engine.usages[0].missing is None


async def test_an_answer_that_is_cut_counts_as_missing() -> None:
    """With the text that went to the client."""
    engine = SettlingEngine(TERMS)
    steps: list[bytes | Ending] = [stream(DELTA, end=b""), Ending.RESET]
    async with (
        ScriptedUpstream(lambda _: steps) as upstream,
        staged(engine, upstream) as stage,
    ):
        assert DELTA in await stage.talk(post())
    (usage,) = engine.usages
    assert usage is not None
    assert (usage.tokens, usage.missing, usage.text_bytes) == (None, MissingCause.CUT, 2)


async def test_a_client_that_leaves_in_the_middle_settles_by_what_it_got() -> None:
    """The product's call is cancelled at once."""
    engine = SettlingEngine(TERMS)
    steps: list[bytes | Ending] = [stream(DELTA, end=b""), Ending.HOLD]
    async with (
        ScriptedUpstream(lambda _: steps) as upstream,
        staged(engine, upstream) as stage,
    ):
        async with stage.client() as client:
            await client.send(post())
            await client.reader.readuntil(DELTA)
        await eventually(lambda: bool(engine.usages))
    (usage,) = engine.usages
    assert usage is not None
    assert (usage.missing, usage.text_bytes) == (MissingCause.CUT, 2)


def test_a_chunk_whose_first_part_looks_like_a_whole_event_passes() -> None:
    """An event is known by the size of its chunk too: here a larger one is cut behind a CRLF."""
    settling = Settling(TERMS)
    head = EVENTS + b"Transfer-Encoding: chunked\r\n\r\n"
    settling.begin(parse_response(head, "POST", 10), chunked=True)
    delta = DELTA.replace(b"{", b'{"id":"%b",' % (b"x" * 60), 1)
    whole = chunked(delta, end=b"")
    odd = chunked(delta + b"\r\n" + delta, end=b"")
    cut = len(whole)
    parts = [whole] * 100 + [odd[:cut], odd[cut:]] + [whole] * 40
    assert [settling.feed(part) for part in parts] == parts
    settled = settling.ended(AttemptEnd.DONE)
    assert settled is not None
    assert settled[1] is not None
    assert settled[1].text_bytes == 142 * len("hi")


async def test_a_product_that_gives_no_answer_names_nothing() -> None:
    """The attempt has ended, and nothing was begun to be read."""
    engine = SettlingEngine(TERMS)
    async with (
        ScriptedUpstream(lambda _: [Ending.CLOSE]) as upstream,
        staged(engine, upstream) as stage,
    ):
        assert (await stage.ask(post(), method="POST")).status == 502
    assert engine.usages == [None]
