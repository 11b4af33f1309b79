"""One connection to a server whose every byte is scripted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from sidecar.redis_url import parse_redis_url
from sidecar.storage.causes import LinkError, cause_of
from sidecar.storage.redis_session import RedisSession
from sidecar.storage.resp import NotRedisError, ReplyError
from tests.unit.storage.counting import until

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def session(script: Script) -> AsyncIterator[tuple[RedisSession, list[Exception]]]:
    """Open a session with a server that does as the script says; and the faults that ended it."""
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await script(reader, writer)
        writer.close()
        done.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    faults: list[Exception] = []
    made = RedisSession(*await asyncio.open_connection("127.0.0.1", port), ended=faults.append)
    try:
        yield made, faults
    finally:
        await made.close()
        await done.wait()
        server.close()


def answers(*replies: bytes) -> Script:
    """Answer each block of bytes that comes with the next of these."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in replies:
            await reader.read(65536)
            writer.write(reply)
        await reader.read(65536)

    return script


async def test_each_question_gets_its_own_answer() -> None:
    """Also behind one whose caller has given up."""
    async with session(answers(b":1\r\n:2\r\n:3\r\n:4\r\n")) as (redis, faults):
        given_up = redis.ask((b"A",), (b"B",))
        given_up.cancel()
        assert redis.waiting == 1
        assert await redis.ask((b"C",), (b"D",)) == [3, 4]
        assert faults == []


async def test_a_connection_that_ends_leaves_no_question_waiting() -> None:
    """Each gets None, and so do those that come later."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)

    async with session(script) as (redis, faults):
        questions = redis.ask((b"A",)), redis.ask((b"B",))
        assert [await answer for answer in questions] == [None, None]
        assert await redis.ask((b"C",)) is None
        with pytest.raises(EOFError):
            await redis.command(b"D")
        assert [cause_of(fault) for fault in faults] == ["it closed the connection"]


@pytest.mark.parametrize(
    ("said", "kind"), [(b"-ERR max number of clients\r\n", ReplyError), (b"+HI\r\n", NotRedisError)]
)
async def test_what_was_not_asked_for_ends_the_connection(
    said: bytes, kind: type[Exception]
) -> None:
    """A reply too many would be taken for the answer to the next question."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await reader.read()

    async with session(script) as (redis, faults):

        async def fault() -> Exception | None:
            return redis.fault

        assert isinstance(await until(fault, lambda found: found is not None), kind)
        assert len(faults) == 1


async def test_a_close_that_is_cancelled_closes_all_the_same() -> None:
    """A sidecar that stops does not wait, and leaves no socket."""
    async with session(answers()) as (redis, faults):
        closing = asyncio.ensure_future(redis.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert redis._writer.is_closing()
        assert await redis.ask((b"A",)) is None
        assert faults == []


async def test_an_old_redis_gets_the_password_alone() -> None:
    """Before Redis 6 there are no users."""
    wrong = b"-ERR wrong number of arguments for 'auth' command\r\n"
    async with session(answers(wrong, b"+OK\r\n", b"+OK\r\n", b"+OK\r\n")) as (redis, faults):
        await redis.log_in(parse_redis_url("redis://user:pw@h/1?client_name=me"))
        assert faults == []


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("redis://:secret@h", "the URL has a password, and it has none"),
        ("redis://h?client_name=me", "it refuses the client_name"),
        ("redis://h/99", "it has no database 99"),
    ],
)
async def test_a_login_that_is_refused_without_a_code_is_explained(url: str, cause: str) -> None:
    """The server's own text may repeat the password."""
    async with session(answers(b"-ERR secret\r\n")) as (redis, _):
        with pytest.raises(LinkError) as caught:
            await redis.log_in(parse_redis_url(url))
        assert str(caught.value) == cause
