"""The wire format of Redis, read from bytes that come as they come."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.storage.resp import NotRedisError, Reply, ReplyError, pack, read_reply


async def read(data: bytes) -> Reply:
    """Read one reply from these bytes, after which the stream ends."""
    reader = asyncio.StreamReader(limit=1024)
    reader.feed_data(data)
    reader.feed_eof()
    return await read_reply(reader)


def test_a_command_is_written_with_the_length_of_each_word() -> None:
    """So that any byte can be in a word."""
    assert pack(b"INCR", b"\r\n") == b"*2\r\n$4\r\nINCR\r\n$2\r\n\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "reply"),
    [
        (b"+OK\r\n", b"OK"),
        (b":-42\r\n", -42),
        (b"$3\r\na\r\n\r\n", b"a\r\n"),
        (b"$-1\r\n", None),
        (b"*-1\r\n", None),
        (b"*2\r\n:1\r\n*1\r\n$0\r\n\r\n", [1, [b""]]),
    ],
)
async def test_a_reply_is_read(data: bytes, reply: Reply) -> None:
    """Each kind of RESP 2."""
    assert await read(data) == reply


@pytest.mark.parametrize(
    ("line", "code", "detail"),
    [
        (b"-MOVED 3999 127.0.0.1:6381\r\n", "MOVED", "3999 127.0.0.1:6381"),
        (b"-READONLY You can't write\r\n", "READONLY", ""),
        (b"-ERR unknown command 'AUTH', with args beginning with: 'secret'\r\n", "ERR", ""),
        (b"-secret\r\n", "ERR", ""),
    ],
)
async def test_an_error_keeps_its_code_and_where_a_redirection_leads(
    line: bytes, code: str, detail: str
) -> None:
    """The rest may repeat a password."""
    error = await read(line)
    assert isinstance(error, ReplyError)
    assert (error.code, error.detail, error.redirect) == (code, detail, bool(detail))
    assert "secret" not in f"{error!r}{vars(error)}"


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b":one\r\n",
        b"$2000000\r\n",
        b"*100000\r\n",
        b"*1\r\n" * 20,
        b"+" + b"x" * 2000 + b"\r\n",
    ],
)
async def test_what_is_not_redis_is_found_out(data: bytes) -> None:
    """Nothing that a wrong peer says costs memory."""
    with pytest.raises(NotRedisError):
        await read(data)


@pytest.mark.parametrize("data", [b"", b"+OK", b"$5\r\nab"])
async def test_a_stream_that_ends_early_is_an_end(data: bytes) -> None:
    """In a line, in a value, or before both."""
    with pytest.raises(EOFError):
        await read(data)
