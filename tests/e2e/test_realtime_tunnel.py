"""The real `openai` SDK and a real WebSocket server, around a metered tunnel."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Literal

import pytest
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError

from sidecar.domain.usage import Tokens
from sidecar.proxy.metered_tunnel import MeteredTunnel
from sidecar.usage.realtime.deflate import agreed_deflate
from sidecar.usage.realtime.frame_writer import Refusal
from sidecar.usage.realtime.metered_socket import MeteredSocket
from sidecar.usage.realtime.turns import SettleTurn

REFUSAL = Refusal("insufficient_quota", "insufficient_quota", "The quota is spent.")
USAGE = {
    "total_tokens": 30, "input_tokens": 20, "output_tokens": 10,
    "input_token_details": {"text_tokens": 20, "audio_tokens": 0, "cached_tokens": 5},
}  # fmt: skip


async def product(connection: ServerConnection) -> None:
    """Answer each response.create as the Realtime API does, with a long text between."""
    number = 0

    async def send(kind: str, **fields: object) -> None:
        await connection.send(json.dumps({"type": kind, "event_id": "e", **fields}))

    await send("session.created", session={"type": "realtime", "model": "gpt-realtime"})
    async for message in connection:
        if json.loads(message)["type"] != "response.create":
            continue
        number += 1
        name = f"r{number}"
        await send("response.created", response={"id": name, "status": "in_progress"})
        for _ in range(20):
            await send("response.output_text.delta", response_id=name, delta="words " * 100)
        await send("response.done", response={"id": name, "status": "completed", "usage": USAGE})


class Engine:
    """Admits a number of turns, and notes what they cost."""

    def __init__(self, admitted: int) -> None:
        self.left = admitted
        self.settled: list[SettleTurn] = []
        self.compressed = False

    async def pay(self, turn: int, request: bytes | None) -> Refusal | None:
        """Admit as many as there are left."""
        del turn, request
        await asyncio.sleep(0.001)
        self.left -= 1
        return None if self.left >= 0 else REFUSAL

    def settle(self, settled: SettleTurn) -> None:
        """Note it."""
        self.settled.append(settled)


class Client:
    """The client's side of the tunnel."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.may_read = asyncio.Event()
        self.may_read.set()

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)

    def pause_body(self) -> None:
        """Read no more."""
        self.may_read.clear()

    def resume_body(self) -> None:
        """Read again."""
        self.may_read.set()


@contextlib.asynccontextmanager
async def metered(engine: Engine) -> AsyncIterator[int]:
    """Run a product with a metered tunnel before it; give the tunnel's port."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, to_product = await asyncio.open_connection("127.0.0.1", product_port)
        to_product.write(await reader.readuntil(b"\r\n\r\n"))
        head = await upstream.readuntil(b"\r\n\r\n")
        writer.write(head)
        lines = [line.partition(b":") for line in head.split(b"\r\n")[1:]]
        agreed = agreed_deflate([(name.lower(), value.strip()) for name, _, value in lines])
        engine.compressed = agreed is not None
        client = Client(reader, writer)
        tunnel = MeteredTunnel(
            MeteredSocket(agreed=agreed, model=None, enforced=True),
            payer=engine,
            client=client,
            product=to_product.transport,
            close=lambda _: writer.close(),
            request_id="a",
            route="realtime",
        )

        async def up() -> None:
            while await client.may_read.wait() and (data := await reader.read(65536)):
                tunnel.write(data)

        async def down() -> None:
            while data := await upstream.read(1000):
                tunnel.take(data)

        tasks = [asyncio.create_task(up()), asyncio.create_task(down())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        tunnel.lost()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for each in (to_product, writer):
            each.close()
            with contextlib.suppress(ConnectionError):
                await each.wait_closed()
        ended.set()

    ended = asyncio.Event()
    async with serve(product, "127.0.0.1", 0) as server:
        product_port = next(iter(server.sockets)).getsockname()[1]
        door = await asyncio.start_server(pass_on, "127.0.0.1", 0)
        async with door:
            yield door.sockets[0].getsockname()[1]
            await asyncio.wait_for(ended.wait(), 5)


async def talk(connection: AsyncRealtimeConnection, kinds: list[str]) -> None:
    """Ask for one response after the other, until the connection is closed."""
    while True:
        event = await connection.recv()
        kinds.append(event.type)
        if event.type in {"session.created", "response.done"}:
            await connection.input_audio_buffer.append(audio="AAAA" * 1000)
            await connection.response.create()
        if event.type == "error":
            assert event.error.code == "insufficient_quota"


@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_the_sdk_gets_its_answers_until_the_quota_is_spent(
    compression: Literal["deflate"] | None,
) -> None:
    """Then the API's own error and a close of 1008; each response is settled by its usage."""
    engine = Engine(admitted=3)
    kinds: list[str] = []
    async with metered(engine) as port:
        sdk = AsyncOpenAI(api_key="k", websocket_base_url=f"ws://127.0.0.1:{port}/v1")
        async with sdk.realtime.connect(
            model="gpt-realtime", websocket_connection_options={"compression": compression}
        ) as connection:
            with pytest.raises(ConnectionClosedError) as closed:
                await talk(connection, kinds)
        await sdk.close()
    assert engine.compressed is (compression is not None)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008
    assert kinds.count("response.done") == 3
    assert kinds[-1] == "error"
    assert [settled.turn for settled in engine.settled] == [1, 2, 3]
    for settled in engine.settled:
        assert settled.usage is not None
        assert settled.usage.tokens == Tokens(15, 5, 0, 10)
        assert settled.usage.model == "gpt-realtime"
        assert settled.usage.text_bytes == 20 * 600
