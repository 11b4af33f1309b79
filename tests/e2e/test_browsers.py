"""A page of another origin, a product with Starlette's CORSMiddleware behind, a browser's rules."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from tests.e2e.harness import CHAT, ORG, Stack, policy, stack

PAGE = "https://app.acme.com"
CORS = {"origins": ["https://*.acme.com"], "credentials": True}
POST_ONLY = {"name": "chat", "match": {"path": CHAT, "methods": ["POST"]}, "meter": {}}
OPEN = policy(cors=CORS)
CLOSED = policy(cors=CORS, routes=[POST_ONLY], unmatched="deny")
ALWAYS_SHOWN = frozenset(
    {"cache-control", "content-language", "content-length", "content-type", "expires"}
    | {"last-modified", "pragma"}
)
"""Fields of an answer that every page may read (Fetch standard, 2.2.2)."""


class NetworkError(Exception):
    """What a page's fetch ends in where the browser shows it nothing."""


@dataclass(frozen=True)
class Seen:
    """What a page gets of an answer."""

    status: int
    headers: dict[str, str]
    text: str


@dataclass
class Browser:
    """Sends a page's calls with cookies as a browser does, and shows only what CORS allows."""

    stack: Stack
    origin: str = PAGE
    preflights: list[int] = field(default_factory=list)

    async def fetch(self, method: str, path: str) -> Seen:
        """Call with a JSON body and credentials; NetworkError where a browser would refuse."""
        asked = {
            "origin": self.origin,
            "access-control-request-method": method,
            "access-control-request-headers": "content-type",
        }
        preflight = await self.stack.client.options(path, headers=asked)
        self.preflights.append(preflight.status_code)
        self._check(preflight)
        if not preflight.is_success or method not in _names(preflight, "allow-methods"):
            raise NetworkError(f"preflight: {preflight.status_code}")
        if "content-type" not in {name.lower() for name in _names(preflight, "allow-headers")}:
            raise NetworkError("preflight: content-type is not allowed")
        headers = {"origin": self.origin, **self.stack.cookie()}
        answer = await self.stack.client.request(method, path, headers=headers, json={"n": 1})
        self._check(answer)
        shown = ALWAYS_SHOWN | {name.lower() for name in _names(answer, "expose-headers")}
        kept = {name: value for name, value in answer.headers.items() if name in shown}
        return Seen(answer.status_code, kept, answer.text)

    def _check(self, answer: httpx.Response) -> None:
        """The Fetch standard's "CORS check", for a request with credentials."""
        allowed = answer.headers.get_list("access-control-allow-origin")
        if allowed != [self.origin]:
            raise NetworkError(f"the origin is not allowed: {allowed}")
        if answer.headers.get_list("access-control-allow-credentials") != ["true"]:
            raise NetworkError("credentials are not allowed")


def _names(answer: httpx.Response, field: str) -> set[str]:
    """Return the list in a field; `*` is no wildcard where credentials are sent."""
    text = ",".join(answer.headers.get_list(f"access-control-{field}"))
    return {name.strip() for name in text.split(",")}


@contextlib.asynccontextmanager
async def fronted(text: str, limit: int = 25) -> AsyncIterator[tuple[Browser, list[str]]]:
    """Run a FastAPI product behind the sidecar; give a browser, and the calls that ran."""
    product = FastAPI()
    product.add_middleware(
        CORSMiddleware,
        allow_origins=[PAGE],
        allow_credentials=True,
        allow_methods=["POST"],
        allow_headers=["content-type"],
        expose_headers=["RateLimit"],
    )
    ran: list[str] = []

    @product.post(CHAT)
    async def chat() -> str:
        ran.append("POST")
        return "hello"

    server = uvicorn.Server(uvicorn.Config(product, log_config=None, lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = asyncio.create_task(server.serve([listening]))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            async with stack(policy=text, orgs={ORG: limit}, upstream_url=url) as running:
                yield Browser(running), ran
        finally:
            server.should_exit = True
            await serving


@pytest.mark.parametrize("text", [OPEN, CLOSED], ids=["all methods metered", "closed"])
async def test_a_pages_call_is_charged_once_and_its_preflight_is_not(text: str) -> None:
    """The product answers the preflight; the page reads what the product lets it read."""
    async with fronted(text) as (browser, ran):
        seen = await browser.fetch("POST", CHAT)
        assert (seen.status, seen.text) == (200, '"hello"')
        assert seen.headers["ratelimit"].startswith('"ai_calls";r=24')
        assert browser.preflights == [200]
        assert (ran, browser.stack.charges()) == (["POST"], 1)
        page = await browser.stack.metrics()
        assert page.sum("requests_total", reason="unmetered") == 1


async def test_a_page_over_quota_reads_status_reason_and_when_to_try_again() -> None:
    """Not "network error"."""
    async with fronted(CLOSED, limit=0) as (browser, ran):
        seen = await browser.fetch("POST", CHAT)
        assert seen.status == 429
        assert int(seen.headers["retry-after"]) >= 1
        assert seen.headers["ratelimit"].startswith('"ai_calls";r=0')
        assert "x-request-id" in seen.headers
        assert '"reason":"over_quota"' in seen.text
        assert ran == []


async def test_without_the_block_a_page_over_quota_sees_a_network_error() -> None:
    """Why there is one: the browser has the refusal, and does not show it."""
    async with fronted(policy(), limit=0) as (browser, _):
        with pytest.raises(NetworkError, match="the origin is not allowed"):
            await browser.fetch("POST", CHAT)
        assert browser.preflights == [200]


async def test_a_page_of_another_origin_reads_nothing() -> None:
    """Neither through the product's answer to the preflight, nor through a refusal."""
    async with fronted(CLOSED, limit=0) as (browser, ran):
        browser.origin = "https://evilacme.com"
        with pytest.raises(NetworkError):
            await browser.fetch("POST", CHAT)
        refused = await browser.stack.client.post(CHAT, headers={"origin": browser.origin})
        assert refused.status_code == 401
        assert "access-control-allow-origin" not in refused.headers
        assert refused.headers["vary"] == "Origin"
        assert ran == []


@pytest.mark.parametrize(
    ("headers", "body", "query"),
    [
        ({}, b"{}", ""),
        ({"x-http-method-override": "POST"}, b"", ""),
        ({}, b"", "?_method=POST"),
        ({"connection": "upgrade", "upgrade": "websocket"}, b"", ""),
    ],
)
async def test_what_only_looks_like_a_preflight_does_not_pass(
    headers: dict[str, str], body: bytes, query: str
) -> None:
    """Under a closed policy it never reaches the product."""
    look = {"origin": PAGE, "access-control-request-method": "POST"}
    async with fronted(CLOSED) as (browser, ran):
        answer = await browser.stack.client.request(
            "OPTIONS", CHAT + query, headers=look | headers, content=body
        )
        assert answer.status_code in {400, 401, 403}
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert (ran, browser.stack.charges()) == ([], 0)
