"""The demo product with the middleware inside, in place of a sidecar before it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from sidecar.demo.upstream import DemoUpstream
from sidecar.domain.errors import UserError
from sidecar.middleware.aiohttp import setup

_STARTING_SECONDS: Final = 30.0
_ENDING_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class InsideSettings:
    """What a middleware is started with; `platform` is the URL of API and auth host."""

    policy: Path
    platform: str
    key_file: Path

    @property
    def keywords(self) -> dict[str, Any]:
        """As keywords of `setup`."""
        return {
            "policy": self.policy,
            "platform_url": self.platform,
            "auth_url": self.platform,
            "key_file": self.key_file,
        }

    @property
    def environ(self) -> dict[str, str]:
        """As variables of the environment."""
        return {
            "SIDECAR_POLICY": str(self.policy),
            "PLATFORM_API_URL": self.platform,
            "AUTH_SERVICE_URL": self.platform,
            "SIDECAR_KEY_FILE": str(self.key_file),
        }


def aiohttp_product(settings: InsideSettings, *, pace: float) -> DemoUpstream:
    """Return the demo's own product, which is an aiohttp application."""
    registry = CollectorRegistry()

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), content_type="text/plain")

    async def report(request: web.Request) -> web.Response:
        pages = int(request.query.get("pages", "1"))
        request["quota"].settle(pages)
        return web.json_response({"pages": pages})

    def meter(app: web.Application) -> None:
        setup(app, registry=registry, **settings.keywords)
        app.router.add_get("/metrics", metrics)
        app.router.add_post("/api/v1/report", report)

    return DemoUpstream(pace=pace, meter=meter)


class FastApiProduct:
    """The same as a FastAPI application, in a process of uvicorn's."""

    def __init__(self, settings: InsideSettings) -> None:
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    async def start(self, host: str, port: int) -> None:
        """Serve it, and wait until it answers. Raises UserError."""
        missing = [name for name in ("fastapi", "uvicorn") if find_spec(name) is None]
        if missing:
            raise UserError(
                f"--door asgi: {' and '.join(missing)} cannot be imported: "
                "pip install fastapi uvicorn"
            )
        port = port or _free_port()
        self.url = f"http://{host}:{port}"
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "uvicorn", "--factory", "sidecar.demo.fastapi_product:product"),
            *("--host", host, "--port", str(port), "--log-level", "warning"),
            env={**os.environ, **self._settings.environ},
        )
        until = time.monotonic() + _STARTING_SECONDS
        while not await _answers(f"{self.url}/health"):
            if self._process.returncode is not None or time.monotonic() > until:
                raise UserError(
                    f"{host}:{port}: uvicorn does not serve the demo product there, see above; "
                    "name a port that is free"
                )
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        """End its process."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):  # it has had the same Ctrl-C
            process.terminate()
        try:
            async with asyncio.timeout(_ENDING_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()


async def _answers(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status == web.HTTPOk.status_code
    except aiohttp.ClientError:
        return False


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
