"""`--host ::` is every address: both families reach the sidecar, and the log says where."""

from __future__ import annotations

import logging

import httpx
import pytest

from tests.e2e.harness import ORG, stack


async def test_both_families_reach_all_addresses() -> None:
    """The product sees an IPv4 client by its IPv4 address, trusted or not by that."""
    async with stack(orgs={ORG: 25}, host="::", trusted_proxies="127.0.0.1/32") as s:
        port = httpx.URL(s.url).port
        for host in ("127.0.0.1", "[::1]"):
            url = f"http://{host}:{port}/api/v1/chat"
            answer = await s.call(url, headers={"x-forwarded-for": "1.2.3.4"})
            assert answer.status_code == 200
        seen = [each.header("x-forwarded-for") for each in s.upstream.executions]
        assert seen == ["1.2.3.4, 127.0.0.1", "::1"]


@pytest.mark.parametrize(
    ("host", "shown"),
    [("::", "http://[::]:"), ("0.0.0.0", "http://0.0.0.0:"), ("127.0.0.1", "http://127.0.0.1:")],
)
async def test_the_log_has_a_url_that_opens(
    caplog: pytest.LogCaptureFixture, host: str, shown: str
) -> None:
    """It is that of what is listened on, and not of loopback alone."""
    caplog.set_level(logging.INFO, "sidecar")
    async with stack(orgs={ORG: 25}, host=host, admin="[::1]:0") as s:
        (started,) = (r for r in caplog.records if r.getMessage() == "started")
        listen, admin = started.__dict__["listen"], started.__dict__["admin"]
        assert listen.startswith(shown)
        assert admin.startswith("http://[::1]:")
        assert (await s.call(f"{listen}/api/v1/chat")).status_code == 200
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{admin}/health")).status_code == 200
