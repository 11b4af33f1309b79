"""The fault proxy itself, between a client and an echo: a tool that lies proves nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.plane import PATIENCE, eventually
from tests.wire.fault_proxy import CLEAN, Ending, FaultProxy, Way, Wire

SENT = bytes(range(256)) * 4


@contextlib.asynccontextmanager
async def echo() -> AsyncIterator[tuple[int, list[str], bytearray]]:
    """Run an echo; give its port, how its connections ended, and what it got."""
    ends: list[str] = []
    got = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        end = "fin"
        try:
            while data := await reader.read(100):
                got.extend(data)
                writer.write(data)
                await writer.drain()
        except ConnectionResetError:
            end = "rst"
        ends.append(end)
        await gone(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], ends, got
    finally:
        server.close()
        await asyncio.sleep(0.01)


async def gone(writer: asyncio.StreamWriter) -> None:
    """End a connection, and wait until it has ended."""
    writer.transport.abort()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def read_all(reader: asyncio.StreamReader, seconds: float = 5.0) -> tuple[bytes, str]:
    """Read to the end; return what came, and how it ended."""
    came = b""
    try:
        async with asyncio.timeout(seconds):
            while data := await reader.read(4096):
                came += data
    except ConnectionResetError:
        return came, "rst"
    except TimeoutError:
        return came, "silence"
    return came, "fin"


async def talk(wire: Wire, sent: bytes = SENT, seconds: float = 5.0) -> tuple[bytes, str, str, int]:
    """Send bytes through a wire; return what came back, both ends, and how much went there."""
    async with echo() as (port, ends, got), FaultProxy(port) as proxy:
        proxy.wire = wire
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(sent)
        if writer.can_write_eof() and wire == CLEAN:
            writer.write_eof()
        came, end = await read_all(reader, seconds)
        await gone(writer)
        for _ in range(200):
            if ends:
                break
            await asyncio.sleep(0.005)
        return came, end, ends[0] if ends else "", len(got)


async def test_a_clean_wire_changes_nothing() -> None:
    """Every byte passes both ways, and so does the end."""
    assert await talk(CLEAN) == (SENT, "fin", "fin", len(SENT))


@pytest.mark.parametrize("offset", [0, 1, 2, 99, 100, 1023])
@pytest.mark.parametrize(("ending", "end"), [(Ending.FIN, "fin"), (Ending.RST, "rst")])
async def test_a_way_back_ends_at_its_byte(offset: int, ending: Ending, end: str) -> None:
    """The near side gets so many bytes, not one less or more, and then the ending."""
    came, ended, far, _ = await talk(Wire(back=Way(stops_after=offset, ending=ending)))
    assert (came, ended, far) == (SENT[:offset], end, end)


@pytest.mark.parametrize("offset", [0, 1, 2, 99, 100, 1023])
@pytest.mark.parametrize("ending", [Ending.FIN, Ending.RST])
async def test_a_way_there_ends_at_its_byte(offset: int, ending: Ending) -> None:
    """The far side gets so many bytes, not one less or more."""
    *_, got = await talk(Wire(there=Way(stops_after=offset, ending=ending)))
    assert got == offset


async def test_a_black_hole_tells_nobody() -> None:
    """After its byte nothing comes, and no end either, until the near side leaves."""
    hole = Way(stops_after=7, ending=Ending.BLACK_HOLE)
    came, end, _, got = await talk(Wire(back=hole), seconds=0.2)
    assert (came, end) == (SENT[:7], "silence")
    assert got > 0


async def test_half_open_is_silence() -> None:
    """The connection stands and nobody is at its other end."""
    assert await talk(Wire(half_open=True), seconds=0.2) == (b"", "silence", "", 0)


async def test_pieces_are_no_larger_than_asked() -> None:
    """Bandwidth: a message comes in pieces, each after its pause, and whole."""
    async with echo() as (port, _, _), FaultProxy(port) as proxy:
        proxy.wire = Wire(connects_after=0.01, there=Way(piece=3, latency=0.01, jitter=0.002))
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"abcdefgh")
        pieces: list[bytes] = []
        while sum(len(each) for each in pieces) < 8:
            pieces.append(await reader.read(100))
        await gone(writer)
    assert b"".join(pieces) == b"abcdefgh"
    assert max(len(each) for each in pieces) == 3


async def test_a_wire_may_differ_for_each_connection() -> None:
    """The first connection is cut, the second is not."""
    async with echo() as (port, _, _), FaultProxy(port) as proxy:
        proxy.wire = lambda number: CLEAN if number else Wire(back=Way(stops_after=0))
        ends = []
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(b"hello")
            writer.write_eof()
            ends.append(await read_all(reader))
            await gone(writer)
        assert ends == [(b"", "rst"), (b"hello", "fin")]


async def test_it_leaves_nothing_behind() -> None:
    """Closed, it holds no connection and no task."""
    before = asyncio.all_tasks()
    async with echo() as (port, _, _):
        async with FaultProxy(port) as proxy:
            _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            await eventually(lambda: proxy.open_connections == 1)
        assert proxy.open_connections == 0
        await gone(writer)
        for _ in range(100):
            if asyncio.all_tasks() == before:
                break
            await asyncio.sleep(0.01)
    assert asyncio.all_tasks() - before == set()


async def test_who_sends_to_somebody_that_left_is_told() -> None:
    """A client that closed its socket ends an answer without end, as its kernel would."""
    ended = asyncio.Event()

    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # uvloop tells who writes to a transport that is closed already by a RuntimeError.
        with contextlib.suppress(ConnectionError, RuntimeError):
            while True:
                writer.write(b"x" * 1000)
                await writer.drain()
                await asyncio.sleep(0.001)
        ended.set()

    server = await asyncio.start_server(pour, "127.0.0.1", 0)
    async with server, FaultProxy(server.sockets[0].getsockname()[1]) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        await reader.readexactly(1000)
        writer.close()
        async with asyncio.timeout(PATIENCE):
            await ended.wait()
