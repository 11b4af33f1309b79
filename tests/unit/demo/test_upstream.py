"""The demo product over real sockets: what it answers, and what it notes of each execution."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import Callable
from urllib.parse import urlsplit

import aiohttp
import httpx
import pytest

from sidecar.domain.errors import SidecarError, UserError
from tests.fakes.executions import Progress
from tests.fakes.recording_product import RecordingProduct


async def raw_exchange(upstream: RecordingProduct, request: bytes) -> bytes:
    """Send bytes as they are and return all that comes back until the close."""
    address = urlsplit(upstream.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that the server notices in its own time."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the other side has no event to set
            await asyncio.sleep(0.005)


async def test_url_names_the_port_it_was_given(upstream: RecordingProduct) -> None:
    """The URL is a real address: health answers there."""
    async with httpx.AsyncClient(base_url=upstream.url) as client:
        answer = await client.get("/health")
    assert answer.json() == {"status": "ok"}


async def test_url_before_start_is_an_error() -> None:
    """There is no URL to give before there is a port."""
    with pytest.raises(SidecarError, match="start"):
        _ = RecordingProduct().url


async def test_starting_twice_is_an_error(upstream: RecordingProduct) -> None:
    """A second listener would lose the first one."""
    with pytest.raises(SidecarError, match="twice"):
        await upstream.start()


async def test_taken_port_raises_and_leaves_nothing(upstream: RecordingProduct) -> None:
    """A port that is taken is the user's mistake; the object can be started elsewhere."""
    second = RecordingProduct()
    with pytest.raises(UserError, match=r"127\.0\.0\.1:\d+: .* free"):
        await second.start(port=urlsplit(upstream.url).port or 0)
    await second.start()
    await second.close()


async def test_ipv6_url_has_brackets() -> None:
    """An IPv6 address in a URL stands in brackets (RFC 3986, 3.2.2)."""
    demo = RecordingProduct()
    await demo.start(host="::1")
    try:
        assert demo.url.startswith("http://[::1]:")
    finally:
        await demo.close()


async def test_execution_holds_what_came(upstream: RecordingProduct) -> None:
    """Method, raw path and query, the two fields of the sidecar, and the body are noted."""
    body = b'{"q": "hello"}'
    async with httpx.AsyncClient(base_url=upstream.url) as client:
        answer = await client.post(
            "/api/v1/chat?a=%7e1",
            content=body,
            headers={"X-Request-ID": "r1", "X-BB-Org-Id": "org_a"},
        )
    (execution,) = upstream.executions
    assert answer.json() == {"answer": "You said: hello"}
    assert (execution.method, execution.path, execution.query) == (
        "POST",
        "/api/v1/chat",
        "a=%7e1",
    )
    assert (execution.request_id, execution.org_id) == ("r1", "org_a")
    assert execution.body_length == len(body)
    assert execution.body_sha256 == hashlib.sha256(body).hexdigest()
    assert execution.completed


async def test_path_without_route_is_an_execution(upstream: RecordingProduct) -> None:
    """What reached the product counts, even where it has nothing to answer."""
    async with httpx.AsyncClient(base_url=upstream.url) as client:
        answer = await client.delete("/nowhere")
    assert answer.status_code == 404
    assert [execution.path for execution in upstream.executions] == ["/nowhere"]


async def test_odd_escapes_are_noted_as_they_came(upstream: RecordingProduct) -> None:
    """The raw target is kept byte for byte."""
    target = "/api/echo/a%2Fb/%7Ex//./%2e?q=%zz&&"
    answer = await raw_exchange(
        upstream, f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    )
    assert f'"target":"{target}"'.encode() in answer
    assert upstream.executions[0].target == target


async def test_echo_keeps_header_order_and_case(upstream: RecordingProduct) -> None:
    """Headers come back as pairs, in order, twice where they came twice."""
    answer = await raw_exchange(
        upstream,
        b"POST /api/echo HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nx-a: 2\r\nConnection: close\r\n"
        b"Content-Length: 2\r\n\r\nhi",
    )
    assert b'["X-A","1"],["x-a","2"]' in answer
    assert b'"body":"hi"' in answer


async def test_compressed_body_is_noted_as_it_came(upstream: RecordingProduct) -> None:
    """A body is never unpacked: its digest is that of the bytes on the wire."""
    packed = zlib.compress(b"x" * 1000)
    async with httpx.AsyncClient(base_url=upstream.url) as client:
        await client.put("/api/files/a", content=packed, headers={"Content-Encoding": "deflate"})
    assert upstream.executions[0].body_sha256 == hashlib.sha256(packed).hexdigest()


async def test_abort_in_a_stream_is_noted(upstream: RecordingProduct) -> None:
    """A caller that goes away ends the execution at once, and it is not complete."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{upstream.url}/api/v1/stream?n=100&interval_ms=50") as answer,
    ):
        assert (await answer.content.readline()) == b"id: 1\n"
        assert upstream.executions[0].progress is Progress.RUNNING
        answer.close()
        await until(lambda: upstream.executions[0].progress is Progress.ABORTED)


async def test_abort_in_a_body_is_noted(upstream: RecordingProduct) -> None:
    """An upload that is cut off is noted with the part that arrived."""
    address = urlsplit(upstream.url)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(b"PUT /api/files/a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    await until(lambda: bool(upstream.executions))
    writer.close()
    await writer.wait_closed()
    await until(lambda: upstream.executions[0].progress is Progress.ABORTED)
    assert upstream.executions[0].body_length == 3


async def test_forget_starts_from_nothing(upstream: RecordingProduct) -> None:
    """A forgotten execution that is still running does not come back when it ends."""
    async with httpx.AsyncClient(base_url=upstream.url) as client:
        running = asyncio.create_task(client.get("/api/slow?ms=50"))
        await until(lambda: bool(upstream.executions))
        upstream.forget()
        await running
    assert upstream.executions == []


async def test_oldest_executions_are_forgotten() -> None:
    """A demo that runs for days stays small."""
    demo = RecordingProduct(kept=2)
    await demo.start()
    async with httpx.AsyncClient(base_url=demo.url) as client:
        for number in range(3):
            await client.get(f"/api/echo/{number}")
    assert [execution.path for execution in demo.executions] == ["/api/echo/1", "/api/echo/2"]
    await demo.close()


async def test_events_arrive_one_by_one(upstream: RecordingProduct) -> None:
    """The first event is here before the last one is written."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{upstream.url}/api/v1/stream?n=2&interval_ms=200") as answer,
    ):
        first = await answer.content.readuntil(b"\n\n")
        assert upstream.executions[0].progress is Progress.RUNNING
        rest = await answer.content.read()
    assert first == b'id: 1\nevent: tick\ndata: {"n":1,"of":2}\n\n'
    assert rest == b'id: 2\nevent: tick\ndata: {"n":2,"of":2}\n\n'
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"


@pytest.mark.parametrize(
    "target",
    [
        "/api/v1/stream?n=10001",
        "/api/v1/stream?n=x",
        "/api/v1/stream?n=-1",
        "/api/v1/stream?interval_ms=60001",
        "/api/slow?ms=60001",
        "/api/bytes/1073741825",
        "/api/bytes/%D9%A3",
        "/api/status/600",
        "/api/status/199",
    ],
)
async def test_unbounded_wishes_are_refused(upstream: RecordingProduct, target: str) -> None:
    """Every number of a caller has its bounds."""
    async with httpx.AsyncClient(base_url=upstream.url) as client:
        answer = await client.get(target)
    assert answer.status_code == 400
    assert "must be" in answer.json()["error"]


async def test_file_size_is_told(upstream: RecordingProduct) -> None:
    """An upload of unknown length, longer than what is kept, is counted to its end."""

    async def pieces() -> object:
        for _ in range(9):
            yield b"x" * 1024 * 1024

    async with aiohttp.ClientSession() as session:
        answer = await session.put(f"{upstream.url}/api/files/big", data=pieces())
        told = await answer.json()
    assert (answer.status, told["name"], told["body_length"]) == (201, "big", 9 * 1024 * 1024)


async def test_body_too_long_to_read_is_refused(upstream: RecordingProduct) -> None:
    """A route that must read its body says so when it is too long."""
    async with httpx.AsyncClient(base_url=upstream.url) as client:
        answer = await client.post("/v1/messages", content=b"x" * (8 * 1024 * 1024 + 1))
    assert answer.status_code == 413


@pytest.mark.parametrize("query", ["", "?chunked=1"])
async def test_bytes_are_as_many_as_asked(upstream: RecordingProduct, query: str) -> None:
    """The stream has its length, told ahead or not."""
    async with httpx.AsyncClient(base_url=upstream.url) as client:
        answer = await client.get(f"/api/bytes/70000{query}")
    assert answer.content == (bytes(range(256)) * 274)[:70000]
    assert ("content-length" in answer.headers) == (not query)


@pytest.mark.parametrize(
    "target", ["/api/bytes/1000", "/api/v1/stream", "/api/trailers", "/health"]
)
async def test_head_has_no_body(upstream: RecordingProduct, target: str) -> None:
    """HEAD gets the head alone (RFC 9110, 9.3.2)."""
    answer = await raw_exchange(
        upstream, f"HEAD {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    )
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n")
    assert answer.count(b"\r\n\r\n") == 1


@pytest.mark.parametrize("code", [200, 204, 302, 304, 404, 429, 503])
async def test_status_is_as_asked(upstream: RecordingProduct, code: int) -> None:
    """Any final status can be had, without a body where HTTP allows none."""
    async with httpx.AsyncClient(base_url=upstream.url) as client:
        answer = await client.get(f"/api/status/{code}")
    assert answer.status_code == code
    assert bool(answer.content) == (code not in {204, 304})


async def test_redirect_points_somewhere(upstream: RecordingProduct) -> None:
    """A redirect has a place to go to, so that following it would show."""
    async with httpx.AsyncClient(base_url=upstream.url) as client:
        answer = await client.get("/api/status/307")
    assert answer.headers["location"] == "/health"


async def test_trailers_are_on_the_wire(upstream: RecordingProduct) -> None:
    """The answer in chunks ends with trailers, forged fields among them."""
    answer = await raw_exchange(upstream, b"GET /api/trailers HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.count(b"HTTP/1.1") == 1
    assert answer.endswith(
        b"0\r\nX-Checksum: 42\r\nContent-Length: 5\r\nX-BB-Org-Id: org_forged\r\n\r\n"
    )
    assert upstream.executions[0].completed


async def test_trailers_are_well_formed(upstream: RecordingProduct) -> None:
    """An ordinary client reads the answer, trailers and all."""
    async with httpx.AsyncClient(base_url=upstream.url) as client:
        answer = await client.get("/api/trailers")
    assert answer.text == "hello trailers"


async def test_websocket_echoes(upstream: RecordingProduct) -> None:
    """Text comes back as text, bytes as bytes, in the subprotocol that was offered."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{upstream.url}/api/v1/ws", protocols=("echo",)) as socket,
    ):
        await socket.send_str("hello")
        await socket.send_bytes(b"\x00\xff")
        assert await socket.receive_str() == "hello"
        assert await socket.receive_bytes() == b"\x00\xff"
        assert socket.protocol == "echo"
    await until(lambda: upstream.executions[0].completed)


async def test_websocket_dropped_is_aborted(upstream: RecordingProduct) -> None:
    """A socket that ends without a close frame did not end well."""
    async with aiohttp.ClientSession() as session:
        socket = await session.ws_connect(f"{upstream.url}/api/v1/ws")
        await socket.send_str("hello")
        await socket.receive_str()
        assert socket._response.connection is not None
        transport = socket._response.connection.transport
        assert transport is not None
        transport.abort()
        await until(lambda: upstream.executions[0].progress is Progress.ABORTED)


async def test_websocket_without_upgrade_is_told(upstream: RecordingProduct) -> None:
    """A plain GET of the websocket path is no tunnel."""
    async with httpx.AsyncClient(base_url=upstream.url) as client:
        answer = await client.get("/api/v1/ws")
    assert answer.status_code == 426


async def test_close_ends_websockets_and_streams() -> None:
    """Stopping does not wait for callers that never leave."""
    demo = RecordingProduct()
    await demo.start()
    async with aiohttp.ClientSession() as session:
        socket = await session.ws_connect(f"{demo.url}/api/v1/ws")
        stream = await session.get(f"{demo.url}/api/v1/stream?n=100&interval_ms=1000")
        async with asyncio.timeout(5):
            closing = asyncio.create_task(demo.close())
            message = await socket.receive()
            await closing
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)
        with pytest.raises(aiohttp.ClientPayloadError):
            await stream.read()
        await socket.close()
    assert demo.executions[1].progress is Progress.ABORTED
