"""The pool: reuse, bounds, who waits, and that no place is ever lost."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any, cast

import pytest

from sidecar.http1 import pool as pool_module
from sidecar.http1.client import ClientConnection
from sidecar.http1.errors import ConnectFailedError, PeerFailure
from sidecar.http1.pool import Pool, PoolLimits
from tests.fakes.handlers import BrokenHandler, RecordingHandler
from tests.fakes.servers import (
    FakeOrigin,
    ScriptedServer,
    Visit,
    answering,
    never_accepting,
    refused_port,
    serving,
    silent,
    speaking_first,
)
from tests.loops import pass_time

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


@contextlib.asynccontextmanager
async def pool_of(
    server: ScriptedServer, connections: int = 8, **limits: float
) -> AsyncIterator[Pool]:
    """Make a pool of connections to a server, and close it after all."""
    pool = Pool(server.origin, PoolLimits(connections=connections, **cast("Any", limits)))
    try:
        yield pool
    finally:
        await pool.close()


@pytest.fixture
def swift_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweep every few milliseconds."""
    monkeypatch.setattr(pool_module, "_SWEEP_SECONDS", 0.005)


def start(work: Coroutine[Any, Any, ClientConnection]) -> asyncio.Task[ClientConnection]:
    """Run something beside the test."""
    return asyncio.get_running_loop().create_task(work)


async def waiting(pool: Pool, count: int = 1) -> list[asyncio.Task[ClientConnection]]:
    """Have this many callers wait for a place, in order."""
    tasks = [start(pool.connect()) for _ in range(count)]
    await asyncio.sleep(0)
    assert len(pool._waiters) == count
    return tasks


def ask(connection: ClientConnection) -> RecordingHandler:
    """Send a request on a connection."""
    handler = RecordingHandler()
    connection.start(handler, "GET", REQUEST, complete=True)
    return handler


async def failure_of(work: Coroutine[Any, Any, ClientConnection]) -> PeerFailure:
    """Return how a connect failed; the error names the server."""
    with pytest.raises(ConnectFailedError) as caught:
        await work
    assert str(caught.value)
    return caught.value.kind


async def test_an_empty_pool_has_nothing_to_take() -> None:
    """The caller has to connect."""
    assert Pool(FakeOrigin(1), PoolLimits()).take() is None


async def test_a_connection_comes_back_after_its_exchange() -> None:
    """Keep-alive: the next request goes out on it."""
    async with serving(answering(OK, OK)) as server, pool_of(server) as pool:
        connection = await pool.connect()
        await ask(connection).ended.wait()
        assert pool.take() is connection


async def test_the_newest_idle_connection_is_taken_first() -> None:
    """The oldest ones may go idle long enough to be closed."""
    async with serving(answering(OK)) as server, pool_of(server) as pool:
        first, second = await pool.connect(), await pool.connect()
        first.put_back()
        second.put_back()
        assert [pool.take(), pool.take(), pool.take()] == [second, first, None]


async def test_an_idle_connection_that_its_server_closed_is_not_taken() -> None:
    """It is passed over for one that lives."""
    async with serving(silent) as server, pool_of(server) as pool:
        living, dead = await pool.connect(), await pool.connect()
        living.put_back()
        dead.put_back()
        await server.arrivals.get()
        visit = await server.arrivals.get()
        visit.writer.close()
        while pool.open_connections > 1:  # noqa: ASYNC110 - the pool tells nobody
            await asyncio.sleep(0.001)
        assert [pool.take(), pool.take()] == [living, None]


async def test_a_full_pool_makes_callers_wait_in_order() -> None:
    """Who came first is served first, on the connection that came back."""
    async with serving(silent) as server, pool_of(server, 1) as pool:
        connection = await pool.connect()
        tasks = await waiting(pool, 3)
        for task in tasks:
            connection.put_back()
            assert await task is connection
        assert len(server.visits) == 1


async def test_a_lost_connection_gives_its_place_to_who_waits() -> None:
    """The caller opens a new one."""
    async with serving(silent) as server, pool_of(server, 1) as pool:
        connection = await pool.connect()
        (task,) = await waiting(pool)
        connection.transport.abort()
        assert await task is not connection
        assert pool.open_connections == 1


async def test_a_connection_that_dies_on_its_way_to_who_waits_is_not_used() -> None:
    """It was handed over alive, and closed before its new owner ran."""
    async with serving(silent) as server, pool_of(server, 1) as pool:
        connection = await pool.connect()
        (task,) = await waiting(pool)
        connection.put_back()
        connection.transport.abort()
        taken = await task
        assert (taken is connection, taken.transport.is_closing()) == (False, False)


async def test_waiting_for_a_place_ends_in_time() -> None:
    """A full pool is said to be full, and nothing of the wait is left."""
    async with serving(silent) as server, pool_of(server, 1, connect_timeout=0.01) as pool:
        await pool.connect()
        kinds = [await failure_of(pool.connect()) for _ in range(3)]
        assert (kinds, len(pool._waiters)) == ([PeerFailure.POOL_EXHAUSTED] * 3, 0)


async def test_a_connection_made_while_the_loop_was_held_is_used() -> None:
    """The time to connect is over when the loop runs again; the server did connect in time."""
    async with serving(silent) as server, pool_of(server, 1, connect_timeout=0.1) as pool:
        asyncio.get_running_loop().call_later(0.0, time.sleep, 0.3)
        assert not (await pool.connect()).transport.is_closing()


async def test_a_cancelled_wait_leaves_nothing() -> None:
    """The next in line is served as if it had never been."""
    async with serving(silent) as server, pool_of(server, 1) as pool:
        connection = await pool.connect()
        first, second = await waiting(pool, 2)
        first.cancel()
        await asyncio.sleep(0)
        assert len(pool._waiters) == 1
        connection.put_back()
        assert await second is connection
        assert first.cancelled()


async def test_a_connection_handed_to_a_cancelled_caller_is_passed_on() -> None:
    """Both happened in the same moment; the next in line gets it."""
    async with serving(silent) as server, pool_of(server, 1) as pool:
        connection = await pool.connect()
        first, second = await waiting(pool, 2)
        connection.put_back()
        first.cancel()
        assert await second is connection


async def test_a_place_handed_to_a_cancelled_caller_is_passed_on() -> None:
    """The same for a place to open a connection in."""
    async with serving(silent) as server, pool_of(server, 1) as pool:
        connection = await pool.connect()
        first, second = await waiting(pool, 2)
        connection._lost(connection)
        first.cancel()
        assert await second is not connection
        connection.transport.abort()


async def test_a_caller_cancelled_and_passed_over_is_no_fault() -> None:
    """It was cancelled, and the place went to the next before it could take note."""
    async with serving(silent) as server, pool_of(server, 1) as pool:
        connection = await pool.connect()
        first, second = await waiting(pool, 2)
        first.cancel()
        connection.put_back()
        assert await second is connection
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_cancelling_a_connect_gives_its_place_back() -> None:
    """Who waits for the place gets it at once, not at its own deadline."""
    async with serving(silent) as server:
        port = server.origin.port
        with never_accepting() as closed:
            server.origin.port = closed
            async with pool_of(server, 1, connect_timeout=30) as pool:
                hanging = start(pool.connect())
                await asyncio.sleep(0)
                (task,) = await waiting(pool)
                server.origin.port = port
                hanging.cancel()
                await task
                assert (pool.open_connections, pool._connecting) == (1, 0)


async def test_a_failed_connect_gives_its_place_back() -> None:
    """Who waits for the place tries for itself."""
    async with serving(silent) as server:
        port = server.origin.port
        server.origin.port = refused_port()
        async with pool_of(server, 1, connect_timeout=30) as pool:
            failing = start(pool.connect())
            await asyncio.sleep(0)
            (task,) = await waiting(pool)
            server.origin.port = port
            assert await failure_of(cast("Any", failing)) is PeerFailure.CONNECT
            await task
            assert (pool.open_connections, pool._connecting) == (1, 0)


async def test_a_server_that_is_not_there_is_a_failed_connect() -> None:
    """Not one byte has left, and no place is taken."""
    pool = Pool(FakeOrigin(refused_port()), PoolLimits(connections=1))
    kinds = [await failure_of(pool.connect()) for _ in range(3)]
    assert (kinds, pool.open_connections) == ([PeerFailure.CONNECT] * 3, 0)


async def test_a_name_that_is_not_there_is_a_failed_connect() -> None:
    """A name that cannot be had is like a port that cannot be reached."""
    pool = Pool(FakeOrigin(1, host="nowhere.invalid"), PoolLimits())
    assert await failure_of(pool.connect()) is PeerFailure.CONNECT


async def test_a_server_that_does_not_accept_is_a_timeout() -> None:
    """Connecting is not waited for longer than the limit says."""
    with never_accepting() as port:
        pool = Pool(FakeOrigin(port), PoolLimits(connections=1, connect_timeout=0.02))
        kinds = [await failure_of(pool.connect()) for _ in range(2)]
    assert (kinds, pool._connecting) == ([PeerFailure.CONNECT_TIMEOUT] * 2, 0)


class _Stillborn(ClientConnection):
    """Is closed by its server in the moment it is made."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be made, and gone."""
        super().connection_made(transport)
        self.transport.abort()


class _DoomedPool(Pool):
    def _new_connection(self) -> ClientConnection:
        return _Stillborn(self._release, self._forget, max_head_bytes=99, max_fields=9)


async def test_a_connection_lost_before_its_first_use_is_a_failed_connect() -> None:
    """Who started on it would never hear of its end; and it keeps no place."""
    async with serving(silent) as server:
        pool = _DoomedPool(server.origin, PoolLimits(connections=1))
        kinds = [await failure_of(pool.connect()) for _ in range(3)]
        assert (kinds, pool.open_connections) == ([PeerFailure.CONNECT] * 3, 0)


async def test_a_server_that_speaks_first_is_never_asked() -> None:
    """What it said would be read as an answer."""
    async with serving(speaking_first(OK)) as server, pool_of(server) as pool:
        with contextlib.suppress(ConnectFailedError):
            (await pool.connect()).put_back()
        visit = await server.arrivals.get()
        await visit.ended.wait()
        assert pool.take() is None


@pytest.mark.usefixtures("swift_sweeps")
async def test_an_idle_connection_is_closed_in_time() -> None:
    """Before its server closes it at a bad moment."""
    async with serving(silent) as server, pool_of(server, idle_seconds=0.0) as pool:
        (await pool.connect()).put_back()
        visit = await server.arrivals.get()
        await visit.ended.wait()
        assert pool.take() is None


@pytest.mark.usefixtures("swift_sweeps")
async def test_a_connection_in_use_is_never_idle() -> None:
    """Sweeping looks at those that wait in the pool, not at those that work."""
    async with serving(answering(OK)) as server, pool_of(server, idle_seconds=0.0) as pool:
        connection = await pool.connect()
        await asyncio.sleep(0.02)
        handler = ask(connection)
        await handler.ended.wait()
        assert handler.whole


@pytest.mark.usefixtures("swift_sweeps")
async def test_an_answer_that_does_not_begin_in_time_is_given_up() -> None:
    """The exchange ends with its own kind of failure."""
    async with serving(silent) as server, pool_of(server) as pool:
        connection = await pool.connect()
        handler = ask(connection)
        connection.expire_after(handler, 0.0)
        await handler.ended.wait()
        assert handler.failure is PeerFailure.FIRST_BYTE_TIMEOUT


async def test_a_server_that_does_not_read_the_end_cannot_keep_the_place() -> None:
    """A transport that closes waits until all that was written is read, without a limit."""

    async def unread(_: Visit) -> None:
        await asyncio.Event().wait()

    async with serving(unread) as server, pool_of(server) as pool:
        connection = await pool.connect()
        while not connection.transport.get_write_buffer_size():
            connection.transport.write(bytes(1_000_000))
            await asyncio.sleep(0.01)
        connection.close()
        await pass_time(29.0)
        before = pool.open_connections
        await pass_time(2.0)
        assert (before, pool.open_connections) == (1, 0)


@pytest.mark.usefixtures("swift_sweeps")
async def test_sweeping_ends_with_the_last_connection() -> None:
    """An empty pool has no timer, and gets one with its next connection."""
    async with serving(silent) as server, pool_of(server) as pool:
        for _ in range(2):
            connection = await pool.connect()
            assert pool._sweeper is not None
            connection.transport.abort()
            while pool._sweeper is not None:  # noqa: ASYNC110 - the pool tells nobody
                await asyncio.sleep(0.005)


async def test_a_closed_pool_has_no_connections() -> None:
    """Idle ones and those in use end, and the end is waited for."""
    async with serving(silent) as server, pool_of(server) as pool:
        idle, used = await pool.connect(), await pool.connect()
        idle.put_back()
        handler = ask(used)
        await pool.close()
        assert (pool.open_connections, handler.failure) == (0, PeerFailure.CUT_OFF)


async def test_closing_tells_who_waits() -> None:
    """There will be no connection; that is a failure and not a cancellation."""
    async with serving(silent) as server, pool_of(server, 1) as pool:
        await pool.connect()
        tasks = await waiting(pool, 3)
        await pool.close()
        kinds = [await failure_of(cast("Any", task)) for task in tasks]
        assert kinds == [PeerFailure.CONNECT] * 3


async def test_a_closed_pool_opens_nothing() -> None:
    """A late caller is told the same."""
    async with serving(silent) as server, pool_of(server) as pool:
        await pool.close()
        assert await failure_of(pool.connect()) is PeerFailure.CONNECT
        assert server.visits == []


async def test_closing_ends_a_connect_under_way() -> None:
    """The connection that still comes is not kept."""
    async with serving(silent) as server, pool_of(server) as pool:
        task = start(pool.connect())
        await asyncio.sleep(0)
        await pool.close()
        assert await failure_of(cast("Any", task)) is PeerFailure.CONNECT
        assert pool.open_connections == 0


async def test_an_exchange_that_ends_after_closing_keeps_nothing() -> None:
    """A connection that comes back to a closed pool is closed."""
    async with serving(silent) as server, pool_of(server) as pool:
        connection = await pool.connect()
        await pool.close()
        connection.put_back()
        assert (connection.transport.is_closing(), pool.take()) == (True, None)


async def test_closing_twice_is_closing() -> None:
    """A pool has one end."""
    async with serving(silent) as server, pool_of(server) as pool:
        await pool.connect()
        await pool.close()
        await pool.close()
        assert pool.open_connections == 0


async def test_a_handler_that_breaks_loses_no_place() -> None:
    """The next caller gets in."""
    asyncio.get_running_loop().set_exception_handler(lambda _, __: None)
    async with serving(silent) as server, pool_of(server, 1) as pool:
        connection = await pool.connect()
        handler = BrokenHandler()
        connection.start(handler, "GET", REQUEST, complete=True)
        (await server.arrivals.get()).writer.close()
        await handler.ended.wait()
        assert await pool.connect() is not connection


async def test_a_thousand_exchanges_in_a_small_pool_lose_no_place() -> None:
    """A third of the callers are cancelled in every phase there is."""
    async with (
        serving(answering(*[OK] * 1000)) as server,
        pool_of(server, 4, connect_timeout=60.0) as pool,
    ):

        async def exchange() -> None:
            connection = pool.take() or await pool.connect()
            handler = ask(connection)
            try:
                await handler.ended.wait()
            except asyncio.CancelledError:
                connection.transport.abort()
                raise

        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(exchange()) for _ in range(1000)]
        for number, task in enumerate(tasks):
            if number % 3 == 0:
                task.cancel()
            if number % 50 == 0:
                await asyncio.sleep(0)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        wrong = [
            end for end in ends if end is not None and not isinstance(end, asyncio.CancelledError)
        ]
        places = [await pool.connect() for _ in range(4 - len(pool._all))]
        assert (wrong, len(pool._waiters), pool._connecting, len(places) <= 4) == ([], 0, 0, True)
