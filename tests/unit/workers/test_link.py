"""The link between a supervisor and a worker."""

from __future__ import annotations

import asyncio
import socket

import pytest
import uvloop

from sidecar.admin.state import AdminView
from sidecar.workers.link import Command, Done, Link, LinkClosedError, WorkerFailed


async def _pair() -> tuple[Link, Link]:
    left, right = socket.socketpair()
    return (
        Link(*await asyncio.open_connection(sock=left)),
        Link(*await asyncio.open_connection(sock=right)),
    )


async def test_a_message_arrives_as_it_was_sent() -> None:
    """Values go over whole, in order, both ways."""
    ours, theirs = await _pair()
    await ours.send(AdminView.COUNTS)
    await ours.send(Command.DRAIN)
    await theirs.send(WorkerFailed("no"))
    assert [await theirs.receive(), await theirs.receive()] == [AdminView.COUNTS, Command.DRAIN]
    assert await ours.receive() == WorkerFailed("no")
    ours.close()
    theirs.close()


async def test_a_large_message_arrives_whole() -> None:
    """A message may be far longer than what a socket takes at once."""
    ours, theirs = await _pair()
    text = "x" * 5_000_000
    sending = asyncio.ensure_future(ours.send(WorkerFailed(text)))
    assert await theirs.receive() == WorkerFailed(text)
    await sending
    ours.close()
    theirs.close()


async def test_a_closed_end_is_told_as_such() -> None:
    """Who waits for a process that is gone hears of it."""
    ours, theirs = await _pair()
    theirs.close()
    with pytest.raises(LinkClosedError):
        await ours.receive()
    ours.close()


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_sending_on_a_closed_link_is_one_error(loop: str) -> None:
    """Whatever the event loop raises: uvloop has a RuntimeError for a closed transport."""

    async def send() -> None:
        ours, theirs = await _pair()
        theirs.close()
        ours.close()
        await asyncio.sleep(0.01)
        for _ in range(3):
            with pytest.raises(LinkClosedError):
                await ours.send(WorkerFailed("x" * 1_000_000))

    if loop == "uvloop":
        uvloop.run(send())
    else:
        asyncio.run(send())


async def test_a_message_that_is_not_understood_ends_the_link() -> None:
    """As from a program that was replaced on disk."""
    left, right = socket.socketpair()
    ours = Link(*await asyncio.open_connection(sock=left))
    with right:
        right.sendall((3).to_bytes(4) + b"???")
        with pytest.raises(LinkClosedError, match="another release"):
            await ours.receive()
    ours.close()


async def test_a_message_beyond_all_measure_is_refused() -> None:
    """A length that cannot be ours is not waited for."""
    left, right = socket.socketpair()
    ours = Link(*await asyncio.open_connection(sock=left))
    with right:
        right.sendall((1 << 31).to_bytes(4) + b"x")
        with pytest.raises(LinkClosedError, match="none of ours"):
            await ours.receive()
    ours.close()


async def test_a_half_message_is_no_message() -> None:
    """A process that dies in the middle of a message has sent none."""
    ours, theirs = await _pair()
    await ours.send(Done())
    assert await theirs.receive() == Done()
    ours._writer.write(b"\x00\x00\x00\xff half")
    ours.close()
    with pytest.raises(LinkClosedError):
        await theirs.receive()
    theirs.close()
