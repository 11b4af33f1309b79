"""A request's body on its way in."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.errors import NoRoomError
from sidecar.http1.errors import ProtocolError
from sidecar.http1.heads import CHUNKED
from sidecar.proxy.body_memory import BodyMemory
from sidecar.proxy.inbound import InboundBody
from tests.fakes.turns import spend_a_budget_each

HELD = 64 * 1024


class RecordingSender:
    """A connection that notes what the body wanted of it."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.interim = b""

    def pause_body(self) -> None:
        self.told.append("pause")

    def resume_body(self) -> None:
        self.told.append("resume")

    def write_interim(self, data: bytes) -> None:
        self.interim += data


def body_of(
    length: int, *, owes_continue: bool = False, memory: BodyMemory | None = None
) -> tuple[InboundBody, RecordingSender]:
    """Return a body of this length and the connection that it comes from."""
    sender = RecordingSender()
    return InboundBody(sender, length, memory or BodyMemory(), expects=owes_continue), sender


def feed_all(body: InboundBody, data: bytes) -> None:
    """Feed a body and what is left over of it, as the connection does in several iterations."""
    while data:
        data = body.feed(data)


async def test_what_comes_early_is_held_and_then_passed_on() -> None:
    """What came before it was wanted comes first, the rest as it comes, and the end is told."""
    body, _ = body_of(6)
    passed: list[tuple[bytes, bool]] = []
    body.feed(b"abc")
    assert body.attach(lambda data, done: passed.append((data, done))) == b"abc"
    body.feed(b"d")
    assert body.feed(b"efNEXT") == b"NEXT"
    assert passed == [(b"d", False), (b"ef", True)]


async def test_the_client_is_paused_when_enough_is_held() -> None:
    """64 KiB wait at most, plus what was on its way; taking them lets the client go on."""
    body, sender = body_of(10 * HELD)
    body.feed(b"x" * HELD)
    assert sender.told == ["pause"]
    assert len(body.attach(lambda _data, _done: None)) == HELD
    assert sender.told == ["pause", "resume"]


async def test_reading_gives_the_content_and_keeps_what_came() -> None:
    """The engine gets the content unframed, the upstream the chunks."""
    body, _ = body_of(CHUNKED)
    reading = asyncio.ensure_future(body.read(100))
    await asyncio.sleep(0)
    body.feed(b"3\r\nabc\r\n")
    body.feed(b"2;x\r\nde\r\n0\r\n\r\n")
    assert await reading == b"abcde"
    assert body.attach(lambda _data, _done: None) == b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"


@pytest.mark.parametrize("length", [4, CHUNKED], ids=["counted", "chunked"])
async def test_too_long_a_body_is_none_and_still_there(length: int) -> None:
    """Over the limit nothing is read, and what came is passed on all the same."""
    body, _ = body_of(length)
    data = b"abcd" if length == 4 else b"4\r\nabcd\r\n0\r\n\r\n"
    body.feed(data)
    assert await body.read(3) is None
    assert body.attach(lambda _data, _done: None) == data


@pytest.mark.parametrize(
    "chunk", [b"1\r\nx\r\n", b"2\r\n\r\n\r\n", b"01;a\r\nx\r\n"], ids=["one", "CRLF", "odd"]
)
async def test_many_small_chunks_are_unframed_in_slices(chunk: bytes) -> None:
    """The loop has its turn in between; what came stays as it came."""
    spend_a_budget_each()
    body, _ = body_of(CHUNKED)
    reading = asyncio.ensure_future(body.read(100_000))
    await asyncio.sleep(0)
    feed_all(body, chunk * 15_000 + b"0\r\n\r\n")
    iterations = 0
    while not reading.done():
        iterations += 1
        await asyncio.sleep(0)
    assert iterations > 15_000 * 2 / 2048
    content = chunk.split(b"\r\n", 1)[1][:-2]
    assert await reading == content * 15_000
    framed = b"%x\r\n%b\r\n" % (len(content), content)
    assert body.attach(lambda _data, _done: None) == framed * 15_000 + b"0\r\n\r\n"


async def test_bodies_are_unframed_in_turns() -> None:
    """However many are whole at the same moment, they share the loop's iterations."""
    spend_a_budget_each()
    memory = BodyMemory()
    readings = []
    for _ in range(5):
        body, _ = body_of(CHUNKED, memory=memory)
        readings.append(asyncio.ensure_future(body.read(100_000)))
        await asyncio.sleep(0)
        feed_all(body, b"1\r\nx\r\n" * 5_000 + b"0\r\n\r\n")
    iterations = 0
    while not all(reading.done() for reading in readings):
        iterations += 1
        await asyncio.sleep(0)
    assert iterations > 5 * (5_000 * 2 / 2048 - 1)


async def test_a_body_that_does_not_fit_is_not_read() -> None:
    """Its length says so before a byte of it is waited for."""
    body, _ = body_of(10, memory=BodyMemory(9))
    with pytest.raises(NoRoomError):
        await body.read(100)


async def test_a_chunked_body_ends_at_the_piece_that_does_not_fit() -> None:
    """What comes after it is thrown away, and nothing is passed on."""
    memory = BodyMemory(9)
    body, _ = body_of(CHUNKED, memory=memory)
    reading = asyncio.ensure_future(body.read(100))
    await asyncio.sleep(0)
    feed_all(body, b"4\r\nabcd\r\n" * 3 + b"0\r\n\r\n")
    with pytest.raises(NoRoomError):
        await reading
    with pytest.raises(NoRoomError):
        body.attach(lambda _data, _done: None)
    body.let_go()
    assert memory.used == 0


async def test_an_endless_chunked_body_is_not_read_for_ever() -> None:
    """Framing counts too: a body of tiny chunks ends over a bound that follows the limit."""
    body, sender = body_of(CHUNKED)
    reading = asyncio.ensure_future(body.read(10))
    while not reading.done():
        await asyncio.sleep(0)
        if sender.told[-1] == "resume":
            body.feed(b"1\r\nx\r\n" * 100)
    assert await reading is None
    assert len(body._held) < 2 * HELD


async def test_large_bodies_arrive_in_turns() -> None:
    """However many send at once, an iteration receives a piece of few of them."""
    spend_a_budget_each()
    senders = []
    readings = []
    for _ in range(10):
        body, sender = body_of(4 * HELD)
        senders.append(sender)
        body.feed(b"x" * HELD)
        readings.append(asyncio.ensure_future(body.read(4 * HELD)))
    before = 0
    while before < len(senders):
        await asyncio.sleep(0)
        resumed = sum(each.told[-1] == "resume" for each in senders)
        assert resumed <= before + 1
        before = resumed
    for reading in readings:
        reading.cancel()


async def test_a_large_body_that_ends_while_it_waits_for_its_turn_is_read() -> None:
    """What was read from the socket before it was paused comes in pieces too."""
    spend_a_budget_each()
    body, _ = body_of(2 * HELD)
    body.feed(b"x" * HELD)
    reading = asyncio.ensure_future(body.read(2 * HELD))
    await asyncio.sleep(0)
    body.feed(b"y" * HELD)
    assert await reading == b"x" * HELD + b"y" * HELD


async def test_a_body_just_within_the_limit_is_read() -> None:
    """The limit itself is allowed."""
    body, _ = body_of(4)
    body.feed(b"abcd")
    assert await body.read(4) == b"abcd"


async def test_a_read_body_was_asked_for_once() -> None:
    """A client that waits for a 100 gets one, and only one."""
    body, sender = body_of(3, owes_continue=True)
    reading = asyncio.ensure_future(body.read(10))
    await asyncio.sleep(0)
    assert sender.interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    body.feed(b"abc")
    await reading
    assert not body.owes_continue
    assert await body.read(10) == b"abc"
    assert sender.interim == b"HTTP/1.1 100 Continue\r\n\r\n"


async def test_a_body_that_came_anyway_is_not_asked_for() -> None:
    """A client that did not wait needs no 100."""
    body, sender = body_of(3, owes_continue=True)
    body.feed(b"a")
    assert not body.owes_continue
    reading = asyncio.ensure_future(body.read(10))
    await asyncio.sleep(0)
    body.feed(b"bc")
    assert await reading == b"abc"
    assert sender.interim == b""


async def test_a_break_wakes_the_reader() -> None:
    """Who waits for the body hears that it is broken."""
    body, _ = body_of(CHUNKED)
    reading = asyncio.ensure_future(body.read(10))
    await asyncio.sleep(0)
    body.fail(ProtocolError("broken"))
    with pytest.raises(ProtocolError, match="broken"):
        await reading


async def test_a_break_before_anybody_waited_is_told() -> None:
    """Neither reading, nor waiting for the start, nor passing on forgets an earlier break."""
    body, _ = body_of(CHUNKED)
    body.fail(ProtocolError("broken"))
    with pytest.raises(ProtocolError, match="broken"):
        await body.read(10)
    with pytest.raises(ProtocolError, match="broken"):
        await body.prime()
    with pytest.raises(ProtocolError, match="broken"):
        body.attach(lambda _data, _done: None)


@pytest.mark.parametrize("case", ["counted", "whole", "expecting", "full"])
async def test_there_is_no_wait_where_nothing_can_be_learnt(case: str) -> None:
    """A counted body cannot break, a whole one has not; who waits for us will not send."""
    body, _ = body_of(5 if case == "counted" else CHUNKED, owes_continue=case == "expecting")
    if case == "whole":
        body.feed(b"0\r\n\r\n")
    elif case == "full":
        body.feed(b"20000\r\n" + b"x" * HELD)
    began = time.monotonic()
    await body.prime()
    assert time.monotonic() - began < 0.2


async def test_the_wait_ends_when_nothing_comes() -> None:
    """A client that says nothing more for a quarter of a second is passed on as it is."""
    body, _ = body_of(CHUNKED)
    body.feed(b"3\r\nabc\r\n")
    began = time.monotonic()
    await body.prime()
    assert 0.2 < time.monotonic() - began < 1.5


async def test_the_wait_goes_on_while_something_comes() -> None:
    """As long as bytes come, the start of the body is awaited."""
    body, _ = body_of(CHUNKED)
    priming = asyncio.ensure_future(body.prime())
    for _ in range(8):
        body.feed(b"1\r\nx\r\n")
        await asyncio.sleep(0.06)
    assert not priming.done()
    body.feed(b"0\r\n\r\n")
    await priming


@given(st.lists(st.binary(max_size=40), max_size=12), st.integers(0, 12))
def test_what_goes_in_comes_out(parts: list[bytes], attached_after: int) -> None:
    """Whenever the sink comes, every byte of a counted body is passed on once, in order."""
    body, _ = body_of(sum(map(len, parts)))
    out = bytearray()

    def sink(data: bytes, _done: object) -> None:
        out.extend(data)

    for number, part in enumerate(parts):
        if number == attached_after:
            out += body.attach(sink)
        if not body.done:
            body.feed(part)
    if attached_after >= len(parts):
        out += body.attach(sink)
    assert bytes(out) == b"".join(parts)
