"""ext_proc before products that fail, hang or are not there, with a real Envoy."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import httpx
import pytest

from tests.doors.envoys import BehindEnvoy, behind_envoy
from tests.e2e.harness import Page, eventually, policy, scrape, soon
from tests.e2e.programs import redis
from tests.free_ports import free_port

USAGE = {"format": "openai", "per": 1}
POLICY = policy(
    routes=[
        {
            "name": "batch",
            "match": {"path": "/batch"},
            "meter": {"amount": {"json": "/n", "default": 1, "max": 16}},
        },
        {"name": "settled", "match": {"path": "/settled"}, "meter": {"usage": USAGE}},
        {"name": "given", "match": {"path": "/given"}, "meter": {"refund": "failed"}},
        {"name": "kept", "match": {"path": "/kept"}, "meter": {"refund": "unreached"}},
    ],
)
TEXT = {"text": "ask " * 100}
EVENT = b'data: {"choices":[{"delta":{"content":"hello you"}}]}\n\n'
CHUNK = b'data: {"choices":[],"usage":{"prompt_tokens":30,"completion_tokens":12}}\n\n'


class Product:
    """Answers by the field `x-do` of a call; `seen` are the heads that came."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.left = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            self.seen.append(head)
            await self._answer(head, reader, writer)
            await writer.drain()
        writer.close()

    async def _answer(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        events = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n"
        match head.partition(b"x-do: ")[2].partition(b"\r\n")[0]:
            case b"fail":
                writer.write(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n")
            case b"hang":
                await reader.read()  # until Envoy closes
                self.left.set()
            case b"stream":
                writer.write(events + b"\r\n" + EVENT)
                await writer.drain()
                await reader.read()
                self.left.set()
            case b"gzip":
                packed = gzip.compress(EVENT * 3 + CHUNK)
                writer.write(events + b"content-encoding: gzip\r\n\r\n" + packed)
            case _:
                length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length or b"0"))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


@contextlib.asynccontextmanager
async def before(product: Product | None, folder: Path, **more: Any) -> AsyncIterator[BehindEnvoy]:
    """Put ext_proc before a product, or before none at all; Redis counts, so units come back."""
    port = free_port()
    async with contextlib.AsyncExitStack() as owned:
        if product is not None:
            server = await asyncio.start_server(product.serve, "127.0.0.1", port)
            owned.callback(server.close)
        path = await owned.enter_async_context(redis(folder, "secret"))
        environ = {"REDIS_URL": f"unix://{path}?password=secret"}
        at = behind_envoy(
            "ext_proc", folder, text=POLICY, environ=environ, product_port=port, **more
        )
        yield await owned.enter_async_context(at)


async def credits_of(b: BehindEnvoy, finished: int) -> float:
    """Return the units that were given back once so many metered calls have ended."""

    def ended(page: Page) -> bool:
        return page.sum("requests_total", verdict="allow") >= finished

    return (await eventually(lambda: scrape(b.authz.admin_url), ended)).sum("credits_units")


@pytest.mark.parametrize(
    ("path", "do", "credit"), [("/given", "fail", 1), ("/kept", "fail", 0), ("/given", "", 0)]
)
async def test_a_failure_is_given_back_where_the_policy_says_so(
    tmp_path: Path, path: str, do: str, credit: int
) -> None:
    """Its answer is seen."""
    async with before(Product(), tmp_path) as b:
        answer = await b.call(path, headers={"x-do": do})
        assert answer.status_code == (503 if do else 200)
        assert (b.charges(), await credits_of(b, 1)) == (1, credit)


async def test_what_reached_no_product_is_given_back(tmp_path: Path) -> None:
    """Nothing listens on its port; the next call takes the unit."""
    async with before(None, tmp_path) as b:
        for number, path in enumerate(("/kept", "/batch", "/settled"), 1):
            assert (await b.call(path, json={})).status_code == 503
            assert await credits_of(b, number) == 1
        assert b.charges() == 1


async def test_a_client_that_leaves_before_the_answer_is_charged(tmp_path: Path) -> None:
    """The product had the call: by what its request holds, where it is settled."""
    async with before(product := Product(), tmp_path) as b:
        with pytest.raises(httpx.ReadTimeout):
            await b.call("/settled", headers={"x-do": "hang"}, json=TEXT, timeout=1.0)
        await asyncio.wait_for(product.left.wait(), 20)
        await soon(b.charges, lambda charges: charges >= 100)
        assert await credits_of(b, 1) == 0


async def test_a_client_that_leaves_in_the_middle_is_charged_for_what_was_sent(
    tmp_path: Path,
) -> None:
    """The product's answer is given up at once."""
    async with before(product := Product(), tmp_path) as b:
        headers = {**b.cookie(), "x-do": "stream"}
        asking = b.client.stream("POST", "/settled", headers=headers, json=TEXT)
        async with asking as answer:
            assert await anext(answer.aiter_raw()) == EVENT
        await asyncio.wait_for(product.left.wait(), 20)
        charges = await soon(b.charges, lambda charges: charges > 100)
        assert charges < 110


async def test_a_compressed_answer_is_read_beside_and_passes_as_it_is(tmp_path: Path) -> None:
    """A product may compress though it is asked not to."""
    async with before(product := Product(), tmp_path) as b:
        answer = await b.call("/settled", headers={"x-do": "gzip"}, json={})
        assert answer.content == EVENT * 3 + CHUNK
        assert answer.headers["content-encoding"] == "gzip"
        assert b"accept-encoding: identity" in product.seen[-1]
        await soon(b.charges, lambda charges: charges == 42)


@pytest.mark.parametrize("path", ["/free", "/kept"])
async def test_a_body_that_needs_no_look_is_never_held(tmp_path: Path, path: str) -> None:
    """Longer than Envoy would hold; its length stays."""
    async with before(product := Product(), tmp_path) as b:
        answer = await b.call(path, content=b"x" * 3_000_000)
        assert (answer.status_code, answer.content) == (200, b"ok")
        assert b"content-length: 3000000" in product.seen[-1]


async def test_without_mode_overrides_the_same_calls_are_charged(tmp_path: Path) -> None:
    """Envoy shows more than is needed then."""
    replaced = {
        "allow_mode_override: true": "allow_mode_override: false",
        "request_body_mode: NONE": "request_body_mode: BUFFERED",
    }
    async with before(Product(), tmp_path, replaced=replaced) as b:
        assert (await b.call("/batch", json={"n": 3})).status_code == 200
        assert (await b.call("/kept", json={"n": 3})).status_code == 200
        assert (await b.call("/settled", headers={"x-do": "gzip"}, json={})).status_code == 200
        await soon(b.charges, lambda charges: charges == 3 + 1 + 42)


async def test_where_envoy_shows_no_body_what_needs_one_is_refused(tmp_path: Path) -> None:
    """And nothing else is."""
    replaced = {", value: allowed": ", value: denied"}
    async with before(product := Product(), tmp_path, replaced=replaced) as b:
        assert (await b.call("/batch", json={"n": 3})).status_code == 500
        assert product.seen == []
        assert (await b.call("/kept")).status_code == 200
        assert b.charges() == 1


async def test_trailers_alone_are_no_way_around_the_decision(tmp_path: Path) -> None:
    """Over HTTP/2 a request may have them and no body, which Envoy shows by itself."""
    async with before(product := Product(), tmp_path) as b:
        status = await _with_trailers(b.port, "/batch", b.cookie()["cookie"])
        assert status == b"413"
        assert (product.seen, b.charges()) == ([], 0)


async def _with_trailers(port: int, path: str, cookie: str) -> bytes:
    """Send a request that has trailers and no body; return the status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    made = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
    made.initiate_connection()
    head = [(":method", "POST"), (":path", path), (":scheme", "http"), (":authority", "x")]
    made.send_headers(1, [*head, ("cookie", cookie)])
    made.send_headers(1, [("x-end", "1")], end_stream=True)
    writer.write(made.data_to_send())
    try:
        while data := await asyncio.wait_for(reader.read(65536), 20):
            for event in made.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    return dict(event.headers)[b":status"]
            writer.write(made.data_to_send())
    finally:
        writer.close()
    return b""


async def test_a_call_that_envoy_forwards_undecided_is_answered_with_an_error(
    tmp_path: Path,
) -> None:
    """Its configuration says that it obeys, and it does not: no such call goes unseen."""
    replaced = {"allow_mode_override: true": "allow_mode_override: false"}
    async with before(Product(), tmp_path, replaced=replaced) as b:
        assert (await b.call("/batch", json={"n": 3})).status_code == 500
        assert "allow_mode_override" in str(b.authz.events("fault"))
