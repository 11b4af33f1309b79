"""The same calls to each framework under each server: the same decisions, refusals and books."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.doors.serving import PRODUCTS, SERVERS, Served, served
from tests.e2e.harness import soon

pytestmark = pytest.mark.asyncio(loop_scope="module")
EVERY = [(product, server) for product in PRODUCTS for server in SERVERS]
WITH_SOCKETS = [pair for pair in EVERY if pair[0] != "django"]
"""Django itself has no websockets; it is the last, so that both tests count the pairs alike."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    """Serve a product once for both tests, each of which has orgs of its own."""
    product, server = request.param
    limits = {"org_acme": 6, "org_bolt": 0, "org_usage": 100, "org_socket": 1}
    async with served(product, server, orgs=limits) as served_product:
        yield served_product


@pytest.mark.parametrize("running", EVERY, indirect=True, ids="-".join)
async def test_a_framework_is_metered(running: Served) -> None:
    """Allowed, over quota, unauthenticated, free, priced by body, given back, settled."""
    forged = {"x-bb-org-id": "evil", "X_BB_Plan": "evil", "x-request-id": "mine-1"}
    first = await running.call(headers=forged, content=b"hello")
    assert first.status_code == 200
    assert first.headers["ratelimit"].startswith('"ai_calls";r=5;t=')
    assert first.headers["x-request-id"] == "mine-1"
    said = first.json()
    assert said == said | {
        "org": "org_acme", "reason": "within_quota", "remaining": 5, "forged": [],
        "request_id": "mine-1", "body": 5,
    }  # fmt: skip
    batch = await running.call("/api/v1/batch", content=b'{"n": 3, "text": "' + b"x" * 3000 + b'"}')
    assert (batch.status_code, batch.json()["body"]) == (200, 3020)
    assert (await running.call("/api/v1/fail")).status_code == 500
    again = await running.call()
    assert (again.status_code, again.json()["reason"]) == (200, "credited")
    assert running.charges() == 1 + 3 + 1
    settled = await running.call("/api/v1/usage", org="org_usage", content=b"seven..")
    assert settled.json()["body"] == 7
    await soon(lambda: running.charges("org_usage"), lambda charges: charges == 7)
    over = await running.call(org="org_bolt")
    assert (over.status_code, over.json()["reason"]) == (429, "over_quota")
    assert over.headers["content-type"] == "application/problem+json"
    assert over.headers["x-should-retry"] == "false"
    assert int(over.headers["retry-after"]) > 0
    anonymous = await running.call(org=None)
    assert (anonymous.status_code, anonymous.headers["www-authenticate"]) == (401, "Bearer")
    assert (await running.call("/api/v1/closed")).status_code == 403
    free = await running.call("/free", "GET", None)
    assert (free.status_code, free.json()["reason"]) == (200, "unmetered")
    ran = await running.ran()
    assert (ran["chat"], ran["batch"], ran["closed"]) == (2, 1, 0)


@pytest.mark.parametrize("running", WITH_SOCKETS, indirect=True, ids="-".join)
async def test_a_websocket_is_metered(running: Served, request: pytest.FixtureRequest) -> None:
    """Its handler knows who calls; one over quota is refused before it is accepted."""
    _, server = request.node.callspec.params["running"]
    cookie = running.cookie("org_socket")
    url = running.url.replace("http", "ws") + "/api/v1/ws"
    async with connect(url, additional_headers=cookie) as socket:
        assert await socket.recv() == "org_socket"
        response = socket.response
    assert response is not None
    if server != "granian":  # which sends no header of an application with its 101
        assert response.headers["ratelimit"].startswith('"ai_calls";r=0;t=')
    with pytest.raises(InvalidStatus) as refused:
        async with connect(url, additional_headers=cookie):
            pass
    assert refused.value.response.status_code == 429
    assert running.charges("org_socket") == 1
