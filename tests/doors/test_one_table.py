"""One table of calls through every door: the same decision, the same refusal, the same units."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from sidecar.app.wiring import App
from sidecar.commands.authz import AuthzPlane
from sidecar.local_platform.server import LocalPlatform
from sidecar.middleware.aiohttp import setup
from sidecar.settings.authz import AuthzSettings, add_authz_arguments, authz_settings
from tests.doors.envoys import behind_envoy
from tests.doors.serving import served
from tests.e2e.harness import ORG, Place, policy, stack, surroundings
from tests.fakes.doors import leave_our_log

POLICY = policy(
    routes=[
        {"name": "five", "match": {"path": "/api/five"}, "meter": {"amount": 5}},
        {
            "name": "batch",
            "match": {"path": "/api/batch", "methods": ["POST"]},
            "meter": {"amount": {"json": "/n", "max": 16}, "body_limit": 1000},
        },
        {
            "name": "sized",
            "match": {"path": "/api/sized"},
            "meter": {"amount": {"header": "x-size"}},
        },
        {"name": "closed", "match": {"path": "/api/closed/**"}, "action": "deny"},
        {"name": "shadow", "match": {"path": "/api/shadow"}, "meter": {"enforcement": "shadow"}},
    ],
)
ORGS = {ORG: 1000, "org_bolt": 0}


@dataclass(frozen=True)
class Row:
    """A call, and what every door makes of it: units charged, or status and reason."""

    name: str
    target: str
    outcome: tuple[int, str] | int
    method: str = "POST"
    org: str | None = ORG
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    sees_no_body: tuple[int, str] | int | None = None
    """What a door makes of it that gets no body."""


NO_AMOUNT = (422, "bad_request")
ODD = (400, "bad_request")
ROWS = [
    Row("one unit", "/api/v1/chat", 1),
    Row("five units", "/api/five", 5),
    Row("free", "/other", 0, org=None),
    Row("no token", "/api/v1/chat", (401, "unauthenticated"), org=None),
    Row("over quota", "/api/v1/chat", (429, "over_quota"), org="org_bolt"),
    Row("over quota in shadow", "/api/shadow", 0, org="org_bolt"),
    Row("denied", "/api/closed/x", (403, "blocked")),
    Row("by body", "/api/batch", 3, body=b'{"n": 3}', sees_no_body=NO_AMOUNT),
    Row("by no body", "/api/batch", NO_AMOUNT),
    Row("by a body over the most", "/api/batch", NO_AMOUNT, body=b'{"n": 17}'),
    Row("by a body that is too long", "/api/batch", (413, "bad_request"),
        body=b'{"n": 3, "x": "' + b"x" * 1000 + b'"}', sees_no_body=NO_AMOUNT),
    Row("by header", "/api/sized", 7, headers=(("x-size", "7"),)),
    Row("by a header that is no number", "/api/sized", NO_AMOUNT, headers=(("x-size", "-7"),)),
    Row("another case", "/API/Five", 5),
    Row("escaped", "/api/fi%76e", 5),
    Row("a slash more", "/api//five", 5),
    Row("a slash at the end", "/api/five/", 5),
    Row("dots", "/api/x/../five", 5),
    Row("escaped twice", "/api/fi%2576e", ODD),
    Row("a line end", "/api/five%0A", ODD),
    Row("a NUL", "/api/five%00x", ODD),
    Row("a query", "/api/five?x=/other", 5),
    Row("a preflight", "/api/five", 0, method="OPTIONS", org=None, headers=(
        ("origin", "https://a"), ("access-control-request-method", "POST"))),
]  # fmt: skip


class Asking:
    """A door, and the platform behind it."""

    def __init__(self, platform: LocalPlatform, port: int, *, forward_auth: bool = False) -> None:
        self.platform = platform
        self.port = port
        self.forward_auth = forward_auth

    async def outcome(self, row: Row) -> tuple[int, str] | int:
        """Make a call byte for byte; return what became of it."""
        fields = dict(row.headers)
        if row.org is not None:
            fields["cookie"] = f"bb_at={self.platform.mint_token(row.org)}"
        line, body = f"{row.method} {row.target}", row.body
        if self.forward_auth:
            fields |= {"x-forwarded-method": row.method, "x-forwarded-uri": row.target}
            line, body = "GET /forward-auth", b""
        lines = [f"{line} HTTP/1.1", "host: x", "connection: close"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        if body or row.method == "POST":
            lines.append(f"content-length: {len(body)}")
        before = self._charges()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        head, _, text = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        if b"application/problem+json" in head and b'"reason"' in text:
            return int(head.split()[1]), json.loads(text)["reason"]
        return self._charges() - before

    def _charges(self) -> int:
        return sum(each.amount for each in self.platform.consumes(None))


@contextlib.asynccontextmanager
async def at_the_proxy() -> AsyncIterator[Asking]:
    """Run the sidecar before its demo product."""
    async with stack(policy=POLICY, orgs=ORGS) as s:
        yield Asking(s.platform, int(s.url.rpartition(":")[2]))


@contextlib.asynccontextmanager
async def at_asgi(product: str) -> AsyncIterator[Asking]:
    """Serve a product of an ASGI framework."""
    async with served(product, policy=POLICY, orgs=ORGS) as s:
        yield Asking(s.platform, int(s.url.rpartition(":")[2]))


@contextlib.asynccontextmanager
async def at_aiohttp(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Asking]:
    """Serve an aiohttp application in this process."""
    async with surroundings(POLICY, ORGS, None, None, "http://x") as (place, platform, _):
        for name, value in place.environ.items():
            monkeypatch.setenv(name, value)

        async def answer(_: web.Request) -> web.Response:
            return web.Response(text="ok")

        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", answer)
        setup(
            app, policy=place.policy_file, platform_url=place.platform_url,
            auth_url=place.platform_url, issuer=place.issuer, registry=CollectorRegistry(),
        )  # fmt: skip
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield Asking(platform, runner.addresses[0][1])
        await runner.cleanup()
    leave_our_log()


@contextlib.asynccontextmanager
async def at_forward_auth() -> AsyncIterator[Asking]:
    """Run `authz` in this process."""
    async with surroundings(POLICY, ORGS, None, None, "http://x") as (place, platform, _):
        settings = _authz_settings(place)
        app = App(settings.shared, place.environ, other=AuthzPlane(settings))
        await app.start()
        yield Asking(platform, app.port, forward_auth=True)
        await app.stop(1.0)


def _authz_settings(place: Place) -> AuthzSettings:
    parser = argparse.ArgumentParser()
    add_authz_arguments(parser)
    words = [
        "--policy", str(Path(place.policy_file)), "--http", "127.0.0.1:0", "--admin",
        "127.0.0.1:0", "--platform-url", place.platform_url, "--auth-url", place.platform_url,
        "--issuer", place.issuer,
    ]  # fmt: skip
    return authz_settings(parser.parse_args(words), place.environ)


async def _table(asking: Asking) -> dict[str, tuple[int, str] | int]:
    return {row.name: await asking.outcome(row) for row in ROWS}


WANTED = {row.name: row.outcome for row in ROWS}


async def test_the_proxy_decides_as_the_table_says() -> None:
    """The door that the others are held to."""
    async with at_the_proxy() as asking:
        assert await _table(asking) == WANTED


@pytest.mark.parametrize("product", ["starlette", "litestar", "django", "quart"])
async def test_asgi_decides_as_the_table_says(product: str) -> None:
    """On the path that the server has decoded."""
    async with at_asgi(product) as asking:
        assert await _table(asking) == WANTED


async def test_aiohttp_decides_as_the_table_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the raw path."""
    async with at_aiohttp(monkeypatch) as asking:
        assert await _table(asking) == WANTED


async def test_forward_auth_decides_as_the_table_says() -> None:
    """But for amounts in a body, which it does not get."""
    differ = {row.name: row.sees_no_body for row in ROWS if row.sees_no_body is not None}
    async with at_forward_auth() as asking:
        assert await _table(asking) == WANTED | differ


@pytest.mark.parametrize("door", ["ext_authz", "ext_proc"])
async def test_envoy_decides_as_the_table_says(door: str, tmp_path: Path) -> None:
    """But for what Envoy refuses by itself, with an answer of its own: it asks about no NUL."""
    async with behind_envoy(door, tmp_path, text=POLICY, orgs=ORGS) as behind:
        assert await _table(Asking(behind.platform, behind.port)) == WANTED | {"a NUL": 0}
