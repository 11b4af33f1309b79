"""Common HTTP clients as they come: httpx, aiohttp, curl; keep-alive, uploads, streams."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import httpx
import pytest

from tests.e2e.harness import CHAT, ORG, Stack, policy, stack
from tests.e2e.programs import start

UPLOAD = {
    "name": "upload",
    "match": {"path": "/api/files/*", "methods": ["PUT"]},
    "meter": {"resource": "storage_bytes", "amount": {"header": "content-length"}},
}
SPENT = "org_spent"
BODY = bytes(range(256)) * 4096
"""One MiB."""


@pytest.fixture
async def s() -> AsyncIterator[Stack]:
    """A chain with an org that has units and one that has none."""
    orgs = {
        ORG: {"ai_calls": 25, "storage_bytes": 10_000_000},
        SPENT: {"ai_calls": 0, "storage_bytes": 1000},
    }
    async with stack(policy=policy(routes=[UPLOAD]), orgs=orgs) as running:
        yield running


async def curl(s: Stack, path: str, *args: str, org: str = ORG) -> tuple[int, str, str]:
    """Run curl as somebody of `org`; return status, head and body of the last answer."""
    program = await start(
        "curl",
        "-sS",
        "-i",
        "--max-time",
        "10",
        f"{s.url}{path}",
        "-b",
        f"bb_at={s.token(org)}",
        *args,
    )
    assert await program.ended() == 0, program.err
    text = "\n".join(line.rstrip("\r") for line in program.out)
    while True:  # interim answers come first
        head, _, text = text.partition("\n\n")
        status = int(head.split()[1])
        if status >= 200:
            return status, head.lower(), text


async def test_httpx(s: Stack) -> None:
    """JSON, a streamed upload of unknown length, and a streamed download."""

    async def pieces() -> AsyncIterator[bytes]:
        for start_at in range(0, len(BODY), 65536):
            yield BODY[start_at : start_at + 65536]

    answer = await s.client.post(CHAT, json={"q": "hi"}, headers=s.cookie())
    assert answer.json() == {"answer": "You said: hi"}
    echoed = await s.client.post("/api/echo", content=pieces(), headers=s.cookie())
    assert hashlib.sha256(BODY).hexdigest() == s.upstream.executions[-1].body_sha256
    assert echoed.status_code == 200
    async with s.client.stream("GET", "/api/bytes/300000") as download:
        size = sum([len(piece) async for piece in download.aiter_bytes()])
    assert size == 300_000
    assert s.charges() == 1


async def test_httpx_keeps_its_connection_over_refusals(s: Stack) -> None:
    """A refusal of a request that was whole leaves the connection for the next call."""
    async with httpx.AsyncClient(base_url=s.url, limits=httpx.Limits(max_connections=1)) as client:
        for org, status in ((SPENT, 429), (ORG, 200), (SPENT, 429), (ORG, 200)):
            answer = await client.get("/api/v1/stream", headers=s.cookie(org))
            assert answer.status_code == status
            assert answer.headers["connection"] == "keep-alive"
        assert (await s.metrics()).sum("open_connections") == 1


async def test_aiohttp(s: Stack) -> None:
    """JSON, a chunked upload, and server-sent events."""
    async with aiohttp.ClientSession(s.url, headers=s.cookie()) as client:
        async with client.post(CHAT, json={"q": "hi"}) as answer:
            assert await answer.json() == {"answer": "You said: hi"}
            assert answer.headers["RateLimit"].startswith('"ai_calls";r=24')
        async with client.post("/api/echo", data=BODY, chunked=True) as answer:
            assert answer.status == 200
        assert s.upstream.executions[-1].body_length == len(BODY)
        async with client.get("/api/v1/stream?n=3") as answer:
            events = [line async for line in answer.content if line.startswith(b"data:")]
        assert len(events) == 3
    assert s.charges() == 2


async def test_aiohttp_over_quota(s: Stack) -> None:
    """A refusal is an ordinary answer."""
    async with (
        aiohttp.ClientSession(s.url, headers=s.cookie(SPENT)) as client,
        client.post(CHAT, json={}) as answer,
    ):
        assert answer.status == 429
        assert (await answer.json(content_type="application/problem+json"))["limit"] == 0


async def test_curl(s: Stack) -> None:
    """An allowed call and one over quota."""
    status, head, body = await curl(s, CHAT, "-d", '{"q":"hi"}')
    assert (status, body) == (200, '{"answer":"You said: hi"}')
    assert 'ratelimit: "ai_calls";r=24;' in head
    status, head, body = await curl(s, CHAT, "-d", "{}", org=SPENT)
    assert status == 429
    assert '"reason":"over_quota"' in body
    assert "content-type: application/problem+json" in head


async def test_curl_with_http_1_0(s: Stack) -> None:
    """An HTTP/1.0 client gets whole answers without chunks, of streams too."""
    status, head, body = await curl(s, CHAT, "--http1.0", "-d", '{"q":"hi"}')
    assert (status, body) == (200, '{"answer":"You said: hi"}')
    status, head, body = await curl(s, "/api/v1/stream?n=3", "--http1.0")
    assert status == 200
    assert body.count("event: tick") == 3
    assert "transfer-encoding" not in head
    assert s.charges() == 2


async def test_curl_uploads_in_chunks(s: Stack, tmp_path: Path) -> None:
    """A chunked upload reaches the product byte for byte."""
    file = tmp_path / "file"
    file.write_bytes(BODY)
    status, _, _ = await curl(
        s, "/api/echo", "-T", str(file), "-X", "POST", "-H", "Transfer-Encoding: chunked"
    )
    assert status == 200
    assert s.upstream.executions[-1].body_sha256 == hashlib.sha256(BODY).hexdigest()


async def test_curl_uploads_are_metered_by_their_length(s: Stack, tmp_path: Path) -> None:
    """The length of an upload is its price; without a length it cannot be priced."""
    file = tmp_path / "file"
    file.write_bytes(BODY)
    status, _, _ = await curl(s, "/api/files/a", "-T", str(file))
    assert status == 201
    assert s.charges(resource="storage_bytes") == len(BODY)
    status, _, _ = await curl(
        s, "/api/files/a", "-T", str(file), "-H", "Transfer-Encoding: chunked"
    )
    assert status == 422
    assert s.executions() == 1


async def test_curl_expects_100_continue(s: Stack, tmp_path: Path) -> None:
    """Who asks first is told to go on when admitted, and refused without a 100 when not."""
    file = tmp_path / "file"
    file.write_bytes(BODY)
    expect = ("-T", str(file), "-H", "Expect: 100-continue")
    status, _, _ = await curl(s, "/api/files/a", *expect)
    assert status == 201
    program = await start(
        "curl", "-sS", "-v", "--expect100-timeout", "10", "--max-time", "10",
        f"{s.url}/api/files/a", "-b", f"bb_at={s.token(SPENT)}", *expect,
    )  # fmt: skip
    assert await program.ended() == 0
    heads = [line for line in program.err if line.startswith("< HTTP/")]
    assert [line.split()[2] for line in heads] == ["429"]
    assert s.executions(SPENT) == 0


async def test_curl_pipes_head_requests(s: Stack) -> None:
    """HEAD is metered like GET and has no body; the connection goes on."""
    status, _, body = await curl(s, "/api/v1/stream", "-I", "--next", "-sS", f"{s.url}/health")
    assert status == 200
    assert s.executions(None) == 2
    assert '{"status":"ok"}' in body
