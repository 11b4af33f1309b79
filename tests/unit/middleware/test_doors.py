"""The middleware in a process of its own making: opened, asked, closed, and opened again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from sidecar.domain.errors import UserError
from sidecar.middleware import QuotaMiddleware
from tests.e2e.harness import KEY, ORG, policy, surroundings
from tests.fakes.doors import leave_our_log
from tests.unit.app.test_wiring import open_sockets, others


async def say(request: Request) -> Response:
    """Say who calls."""
    quota = request.state.quota
    return JSONResponse(quota.identity and quota.identity.org_id)


def product() -> Starlette:
    """Make an application."""
    return Starlette(routes=[Route("/{path:path}", say, methods=["GET", "POST"])])


def names_in(folder: Path) -> list[str]:
    """List a folder."""
    return sorted(path.name for path in folder.iterdir())


class Metered:
    """A wrapped application beside a platform."""

    def __init__(self, keywords: dict[str, Any], token: str) -> None:
        self.registry = CollectorRegistry()
        self.keywords = keywords
        self.cookie = {"cookie": f"bb_at={token}"}
        self.app = self.made()

    def made(self, **more: Any) -> QuotaMiddleware:
        """Wrap another application in the same place."""
        given = {"registry": self.registry, **self.keywords, **more}
        return QuotaMiddleware(product(), **given)

    def write_policy(self, text: str) -> None:
        """Replace the policy."""
        Path(self.keywords["policy"]).write_text(text)

    async def call(self, path: str = "/api/v1/chat", **more: Any) -> httpx.Response:
        """Send a call without a server."""
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await client.post(path, headers=self.cookie, **more)


@pytest.fixture
async def m(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Metered]:
    """One of them."""
    async with surroundings(policy(), {ORG: 25}, None, None, "http://x") as (place, platform, _):
        for name, value in place.environ.items():
            monkeypatch.setenv(name, value)
        keywords = {
            "policy": place.policy_file,
            "platform_url": place.platform_url,
            "auth_url": place.platform_url,
            "issuer": place.issuer,
        }
        metered = Metered(keywords, platform.mint_token(ORG))
        yield metered
        await metered.app.aclose()
    leave_our_log()


async def test_a_door_without_a_lifespan_opens_at_the_first_call(m: Metered) -> None:
    """Calls that come together open one."""
    answers = await asyncio.gather(*(m.call() for _ in range(5)))
    assert [answer.json() for answer in answers] == [ORG] * 5
    call = {"route": "ai", "verdict": "allow", "reason": "within_quota", "code": "200"}
    assert m.registry.get_sample_value("bb_sidecar_requests_total", call) == 5.0


async def test_a_closed_door_refuses_and_leaves_nothing_behind(m: Metered) -> None:
    """No task, no socket, no metric."""
    before, sockets = others(), open_sockets()
    await m.call()
    await m.app.aclose()
    await m.app.aclose()
    assert (await m.call()).status_code == 503
    await asyncio.sleep(0)
    assert (others(), open_sockets()) == (before, sockets)
    assert m.registry.get_sample_value("bb_sidecar_jwks_keys") is None


async def test_a_close_without_a_call_is_nothing(m: Metered) -> None:
    """No door was opened."""
    await m.app.aclose()
    assert (await m.call()).status_code == 200


async def test_a_door_that_could_not_open_is_tried_again(m: Metered) -> None:
    """The call that found it so fails: nothing is let through."""
    m.write_policy("version: 2\n")
    with pytest.raises(UserError, match=r"policy\.yaml:1:"):
        await m.call()
    m.write_policy(policy())
    assert (await m.call()).status_code == 200


async def test_a_policy_that_the_door_cannot_keep_is_refused(m: Metered) -> None:
    """Its sessions would be charged too little."""
    chat = {"path": "/api/v1/chat"}
    route = {"name": "u", "match": chat, "meter": {"usage": {"format": "openai_realtime"}}}
    m.write_policy(policy(routes=[route]))
    with pytest.raises(UserError, match="route 'u': the door asgi does not read the messages"):
        await m.call()


def test_settings_that_are_wrong_fail_where_the_application_is_made() -> None:
    """Not at the first call."""
    with pytest.raises(UserError, match="polcy= is no setting"):
        QuotaMiddleware(product(), polcy="policy.yaml")


async def test_settings_that_are_wrong_fail_the_start_of_a_server() -> None:
    """Starlette makes its middleware then; an exception would be taken for "no lifespan"."""
    app = Starlette()
    app.add_middleware(QuotaMiddleware, polcy="policy.yaml")
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(event: MutableMapping[str, Any]) -> None:
        sent.append(dict(event))

    await app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)
    assert [event["type"] for event in sent] == ["lifespan.startup.failed"]
    assert "polcy= is no setting" in sent[0]["message"]


async def test_calls_fail_where_a_server_does_not_ask_for_a_start() -> None:
    """Nothing passes unmetered, and the reason is in the server's log."""
    app = QuotaMiddleware(product(), polcy="policy.yaml")
    with pytest.raises(UserError, match="polcy= is no setting"):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            await client.post("http://test/api/v1/chat")
    await app.aclose()


async def test_a_test_client_needs_no_lifespan(m: Metered) -> None:
    """It runs each call on an event loop of its own."""

    def calls() -> list[int]:
        client = TestClient(m.app, headers=m.cookie)
        return [client.post("/api/v1/chat").status_code for _ in range(2)]

    assert await asyncio.to_thread(calls) == [200, 200]


async def test_a_lifespan_can_be_lived_twice(m: Metered) -> None:
    """Tests start and stop one application again and again."""

    def calls() -> list[int]:
        found = []
        for _ in range(2):
            with TestClient(m.app, headers=m.cookie) as client:
                found.append(client.post("/api/v1/chat").status_code)
        return found

    assert await asyncio.to_thread(calls) == [200, 200]


async def test_processes_without_a_number_have_a_journal_each(m: Metered, tmp_path: Path) -> None:
    """The first takes the file itself, the next one its first free neighbour."""
    apps = [m.made(journal=tmp_path / "journal") for _ in range(3)]
    for app in apps:
        assert app._doors is not None
        await app._doors.start()
    found = names_in(tmp_path)
    for app in apps:
        await app.aclose()
    assert found == ["journal", "journal.1", "journal.2"]


async def test_a_key_in_the_environment_never_reaches_the_log(
    m: Metered, caplog: pytest.LogCaptureFixture
) -> None:
    """Our lines go to the product's handlers, masked."""
    caplog.set_level("DEBUG", logger="sidecar")
    await m.call()
    assert KEY not in caplog.text
    assert any(message.startswith("embedded_started ") for message in caplog.messages)
