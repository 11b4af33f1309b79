"""An auth host on a real socket, which serves a key set well or badly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer

from sidecar.http1.pool import Pool
from sidecar.http1.proxies import usable_proxy_for
from sidecar.identity.keyset import FETCH_LIMITS, KEY_SET_PATH
from sidecar.settings.values import parse_origin
from tests.unit.identity.mint import SigningKey, key_set

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class AuthHost:
    """Counts the fetches and answers each as it was last told to."""

    def __init__(self) -> None:
        """Publish nothing yet."""
        self.fetches = 0
        self.elsewhere = 0
        self.headers: list[dict[str, str]] = []
        self.url = ""
        self._answer: Answer = self._answer_with(key_set())
        self._asked = asyncio.Condition()

    def publish(self, *keys: SigningKey) -> None:
        """Serve these keys and no others."""
        self.answer(key_set(*(key.jwk() for key in keys)))

    def answer(self, body: bytes, status: int = 200) -> None:
        """Serve this body."""
        self._answer = self._answer_with(body, status)

    def redirect(self) -> None:
        """Point elsewhere, where good keys would be."""

        async def answer(request: web.Request) -> web.StreamResponse:
            raise web.HTTPFound("/elsewhere")

        self._answer = answer

    def hang(self) -> asyncio.Event:
        """Answer what was served before, but only when the event that is returned is set."""
        release = asyncio.Event()
        before = self._answer

        async def answer(request: web.Request) -> web.StreamResponse:
            await release.wait()
            return await before(request)

        self._answer = answer
        return release

    def break_off(self) -> None:
        """Promise a body and close the connection in the middle of it."""

        async def answer(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Length": "1000"})
            await response.prepare(request)
            await response.write(b'{"keys": [')
            assert request.transport is not None
            request.transport.close()
            return response

        self._answer = answer

    def hang_up(self) -> None:
        """Close the connection without an answer."""

        async def answer(request: web.Request) -> web.StreamResponse:
            assert request.transport is not None
            request.transport.close()
            return web.Response()

        self._answer = answer

    async def asked(self, times: int) -> None:
        """Wait until so many fetches have begun in all."""
        async with self._asked:
            await self._asked.wait_for(lambda: self.fetches >= times)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one fetch."""
        async with self._asked:
            self.fetches += 1
            self._asked.notify_all()
        self.headers.append(dict(request.headers))
        return await self._answer(request)

    async def serve_elsewhere(self, request: web.Request) -> web.StreamResponse:
        """Answer what ought not to be asked."""
        self.elsewhere += 1
        return web.Response()

    @staticmethod
    def _answer_with(body: bytes, status: int = 200) -> Answer:
        async def answer(request: web.Request) -> web.StreamResponse:
            return web.Response(body=body, status=status, content_type="application/json")

        return answer


def pool_for(url: str) -> Pool:
    """Return connections to an auth host, through the proxy of the environment, if any."""
    return Pool(parse_origin(url), FETCH_LIMITS, proxy=usable_proxy_for(url))


@asynccontextmanager
async def running_auth_host() -> AsyncIterator[AuthHost]:
    """Run an auth host for the length of a test."""
    host = AuthHost()
    app = web.Application()
    app.router.add_get(KEY_SET_PATH, host.serve)
    app.router.add_route("*", "/{other:.*}", host.serve_elsewhere)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    host.url = str(server.make_url("")).rstrip("/")
    try:
        yield host
    finally:
        await server.close()
