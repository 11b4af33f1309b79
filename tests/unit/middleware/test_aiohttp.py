"""`setup`: an aiohttp application that opens its door at its start, and closes it at its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from prometheus_client import CollectorRegistry

from sidecar.domain.errors import UserError
from sidecar.middleware.aiohttp import setup
from tests.e2e.harness import ORG, policy, surroundings
from tests.fakes.doors import leave_our_log

Clients = Callable[[web.Application], Awaitable[TestClient[web.Request, web.Application]]]


async def say(request: web.Request) -> web.Response:
    """Say who calls."""
    return web.Response(text=request["quota"].identity.org_id)


async def test_an_application_is_metered(
    aiohttp_client: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against a platform, with its metrics in the registry that is given."""
    registry = CollectorRegistry()
    async with surroundings(policy(), {ORG: 1}, None, None, "http://x") as (place, platform, _):
        for name, value in place.environ.items():
            monkeypatch.setenv(name, value)
        app = web.Application()
        app.router.add_post("/api/v1/chat", say)
        setup(
            app,
            policy=place.policy_file,
            platform_url=place.platform_url,
            auth_url=place.platform_url,
            issuer=place.issuer,
            registry=registry,
        )
        client = await aiohttp_client(app)
        headers = {"cookie": f"bb_at={platform.mint_token(ORG)}"}
        first = await client.post("/api/v1/chat", headers=headers)
        second = await client.post("/api/v1/chat", headers=headers)
        assert (first.status, await first.text(), second.status) == (200, ORG, 429)
        labels = {"route": "ai", "verdict": "deny", "reason": "over_quota", "code": "429"}
        assert registry.get_sample_value("bb_sidecar_requests_total", labels) == 1.0
        await client.close()
    leave_our_log()
    assert registry.get_sample_value("bb_sidecar_requests_total", labels) is None


def test_settings_that_are_wrong_fail_where_they_are_given() -> None:
    """Not at the first call."""
    with pytest.raises(UserError, match="upstream= is no setting"):
        setup(web.Application(), upstream="http://x")
