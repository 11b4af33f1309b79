"""A product answers before the request is whole, and closes: its answer reaches the client.

RFC 9112, 9.5 and 9.6: a proxy reads while it sends, and a connection is closed in stages.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from sidecar.domain.model import AttemptEnd
from tests.fakes.certificates import loopback_contexts
from tests.fakes.refusing_uploads import Close, refusing_uploads
from tests.fakes.upstreams import ScriptedUpstream
from tests.free_ports import free_port
from tests.plane import Answer, Client, Stage, eventually, staged

UPLOADS: Final = 40
PIECE: Final = b"x" * 50_000
COUNTED: Final = b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999\r\n\r\n"
CHUNKED: Final = b"POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


class At:
    """`tests.plane.Upstream`: where a product listens."""

    def __init__(self, port: int) -> None:
        self.port = port


async def upload(stage: Stage, head: bytes) -> Answer:
    """Send a body without end until the connection is closed; return the answer to it."""
    piece = PIECE if head is COUNTED else b"%x\r\n%b\r\n" % (len(PIECE), PIECE)

    async def send(client: Client) -> None:
        await client.send(head)
        with contextlib.suppress(ConnectionError):
            while True:
                await client.send(piece)
                await asyncio.sleep(0)

    async with stage.client() as client:
        sending = asyncio.create_task(send(client))
        answer = await client.answer()
        assert await client.rest() == b""
        sending.cancel()
    return answer


async def check_uploads(stage: Stage, head: bytes) -> None:
    """Upload many times; every answer is the product's own, whole, and ends its connection."""
    answers = [await upload(stage, head) for _ in range(UPLOADS)]
    assert [each.status for each in answers] == [413] * UPLOADS
    assert {each.body for each in answers} == {b"too large"}
    assert {tuple(each.values(b"connection")) for each in answers} == {(b"close",)}
    assert stage.engine.executions == [AttemptEnd.DONE] * UPLOADS
    assert stage.observer.of("failed") == []


@pytest.mark.parametrize("head", [COUNTED, CHUNKED], ids=["counted", "chunked"])
@pytest.mark.parametrize("close", Close)
async def test_an_early_413_is_never_a_502(close: Close, head: bytes) -> None:
    """The write that fails finds the answer in the socket."""
    with refusing_uploads(close) as port:
        async with staged(upstream=At(port)) as stage:
            await check_uploads(stage, head)


@pytest.mark.parametrize("close", Close)
async def test_an_early_413_over_tls_is_never_a_502(close: Close, tmp_path: Path) -> None:
    """What was in the socket is decrypted."""
    ours, theirs = loopback_contexts(tmp_path)
    with refusing_uploads(close, ours) as port:
        async with staged(upstream=At(port), context=theirs) as stage:
            await check_uploads(stage, COUNTED)


@contextlib.asynccontextmanager
async def hypercorn() -> AsyncIterator[int]:
    """Run the real program with an application that refuses uploads."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hypercorn", "--log-level", "CRITICAL",
        "--bind", f"127.0.0.1:{port}", "tests.fakes.refusing_uploads:app",
    )  # fmt: skip

    try:
        await eventually(lambda: _listening(port))
        yield port
    finally:
        process.terminate()
        await process.wait()


def _listening(port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_hypercorns_early_413_is_never_a_502() -> None:
    """What was seen in 24 of 40 uploads."""
    async with hypercorn() as port, staged(upstream=At(port)) as stage:
        await check_uploads(stage, COUNTED)


UPGRADE: Final = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


async def test_a_client_whose_upgrade_is_refused_reads_the_answer() -> None:
    """It may have sent frames ahead: our side is closed first, and they are read and dropped."""
    refused = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
    async with ScriptedUpstream(refused) as upstream, staged(upstream=upstream) as stage:
        for _ in range(UPLOADS):
            async with stage.client() as client:
                await client.send(UPGRADE)
                assert (await client.answer()).body == b"no"
                for _ in range(2):  # a closed socket would answer the first with a reset
                    client.writer.write(PIECE)
                    await client.delivered()
                assert await client.rest() == b""
