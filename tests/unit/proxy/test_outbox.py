"""What one turn of the loop sends to clients: together, in order, and never too late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from typing_extensions import override

from sidecar.proxy.outbox import Outbox
from tests.fakes.engines import RefusingEngine
from tests.fakes.transports import DeafTransport
from tests.plane import staged


class BrokenTransport(DeafTransport):
    """Raises where it should write."""

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        raise RuntimeError("broken")


class Turn:
    """The callbacks that a loop would call in its next round."""

    def __init__(self) -> None:
        self.callbacks: list[Callable[[], None]] = []
        self.outbox = Outbox(self.callbacks.append)
        self.outbox.gathers = True

    def end(self) -> None:
        """Call them."""
        callbacks = self.callbacks[:]
        self.callbacks.clear()
        for callback in callbacks:
            callback()


def test_what_a_turn_sends_goes_out_at_its_end() -> None:
    """Of all clients, to each in the order in which it was written."""
    turn, one, other = Turn(), DeafTransport(), DeafTransport()
    for transport, data in ((one, b"a"), (other, b"b"), (one, b"c")):
        turn.outbox.send(transport, data)
    before = (one.written, other.written, len(turn.callbacks))
    turn.end()
    assert (before, one.written, other.written) == ((b"", b"", 1), b"ac", b"b")


def test_an_exchange_by_itself_waits_for_nothing() -> None:
    """There is nothing that its bytes could be sent with."""
    turn, transport = Turn(), DeafTransport()
    turn.outbox.gathers = False
    turn.outbox.send(transport, b"a")
    assert (transport.written, turn.callbacks) == (b"a", [])


def test_nothing_overtakes_what_waits() -> None:
    """Also once there is one exchange left."""
    turn, transport = Turn(), DeafTransport()
    turn.outbox.send(transport, b"a")
    turn.outbox.gathers = False
    turn.outbox.send(transport, b"b")
    turn.end()
    assert transport.written == b"ab"


@pytest.mark.parametrize("gathers", [True, False])
def test_nothing_is_sent_to_a_client_that_is_gone(gathers: bool) -> None:  # noqa: FBT001
    """A loop may log or raise for a write to a closed transport."""
    turn, transport = Turn(), DeafTransport()
    turn.outbox.gathers = gathers
    if gathers:
        turn.outbox.send(transport, b"a")
    transport.abort()
    turn.outbox.send(transport, b"a")
    turn.end()
    assert transport.written == b""


def test_a_large_part_is_sent_at_once() -> None:
    """Its client may not keep up, which only its transport can notice."""
    turn, transport = Turn(), DeafTransport()
    turn.outbox.send(transport, b"a" * 65_537)
    assert len(transport.written) == 65_537


def test_no_more_than_a_mebibyte_waits() -> None:
    """However many clients there are."""
    turn, transports = Turn(), [DeafTransport() for _ in range(17)]
    for transport in transports:
        turn.outbox.send(transport, b"a" * 65_536)
    assert all(transport.written for transport in transports)


def test_no_answer_waits_for_the_work_of_a_thousand_others() -> None:
    """However small they are."""
    turn, first, other = Turn(), DeafTransport(), DeafTransport()
    turn.outbox.send(first, b"a")
    for _ in range(126):
        turn.outbox.send(other, b"b")
    before = first.written
    turn.outbox.send(other, b"b")
    assert (before, first.written, len(other.written)) == (b"", b"a", 127)


def test_a_fault_of_one_transport_costs_no_other_its_bytes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is cut, since its next bytes would follow a gap; what another client does goes on."""
    turn, broken, transport = Turn(), BrokenTransport(), DeafTransport()
    turn.outbox.send(broken, b"a")
    turn.outbox.send(broken, b"c")
    turn.outbox.send(transport, b"b" * 65_537)
    assert (broken.aborted, len(transport.written)) == (True, 65_537)
    assert [record.message for record in caplog.records] == ["fault"]


async def test_an_answer_of_the_turn_in_which_its_client_ends_its_side_is_sent() -> None:
    """The loop closes the transport once it has told of the end."""
    async with staged(RefusingEngine()) as stage, stage.client() as client:
        stage.server.outbox.gathers = True
        (connection,) = stage.server._connections
        connection.write(b"the last words")
        assert connection.eof_received() is False
        connection.transport.close()
        async with asyncio.timeout(5):
            assert await client.reader.read() == b"the last words"


async def test_for_a_client_that_does_not_keep_up_nothing_waits() -> None:
    """How much it takes could not be known from what its transport has."""
    async with staged(RefusingEngine()) as stage, stage.client() as client:
        stage.server.outbox.gathers = True
        (connection,) = stage.server._connections
        connection.pause_writing()
        connection.write(b"a part")
        assert not stage.server.outbox._waiting
        connection.resume_writing()
        async with asyncio.timeout(5):
            assert await client.reader.readexactly(6) == b"a part"


async def test_an_answer_of_the_turn_in_which_the_server_closes_is_sent() -> None:
    """Closing a transport would drop what still waits."""
    async with staged(RefusingEngine()) as stage, stage.client() as client:
        stage.server.outbox.gathers = True
        (connection,) = stage.server._connections
        connection.write(b"the last words")
        await stage.server.close()
        async with asyncio.timeout(5):
            assert await client.reader.read() == b"the last words"
