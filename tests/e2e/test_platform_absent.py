"""The platform is not there when the sidecar starts (conformance 43)."""

from __future__ import annotations

import time

import jwt

from sidecar.domain.model import Reason
from tests.e2e.harness import CHAT, ORG, SESSION_SECRET, Stack, eventually, policy, stack
from tests.e2e.relay import Relay
from tests.e2e.test_reasons import assert_problem

NOWHERE = "http://127.0.0.1:9"


def session(s: Stack) -> dict[str, str]:
    """Make the header of the product's own session: it needs no key of the platform."""
    now = int(time.time())
    claims = {
        "user_id": "u", "org_id": ORG, "role": "member", "plan": "pro",
        "apps": ["acme-notes"], "iat": now, "exp": now + 600,
    }  # fmt: skip
    return {"cookie": f"acme-notes_session={jwt.encode(claims, SESSION_SECRET, 'HS256')}"}


async def test_it_starts_and_unmetered_routes_work() -> None:
    """Without platform and auth host it is up, and what is not metered is served."""
    async with stack(platform_url=NOWHERE) as s:
        assert (await s.client.get(f"{s.admin}/health")).status_code == 200
        assert (await s.call("/api/echo", method="GET")).status_code == 200


async def test_a_platforms_token_cannot_be_verified_yet() -> None:
    """A metered call with a `bb_at` is 503 with Retry-After: a new sign-in would not help."""
    async with stack(platform_url=NOWHERE) as s:
        answer = await s.call()
        assert_problem(answer, Reason.IDENTITY_UNAVAILABLE, 503)
        assert answer.headers["retry-after"] == "5"
        assert "www-authenticate" not in answer.headers
        page = await s.metrics()
        assert page.by("identity_failures_total", "kind") == {"keys_unavailable": 1}


async def test_metered_routes_follow_the_policy() -> None:
    """The product's own session is known without the platform: each route does as it says."""
    closed = {
        "name": "closed",
        "match": {"path": "/api/v1/complete"},
        "meter": {"on_platform_error": "fail_closed"},
    }
    known = {
        "name": "known",
        "match": {"path": "/api/v1/messages"},
        "meter": {"on_platform_error": "last_known"},
    }
    async with stack(policy=policy(routes=[closed, known]), platform_url=NOWHERE) as s:
        cookie = session(s)
        opened = await s.client.post(CHAT, json={}, headers=cookie)
        assert opened.headers["x-quota-decision"] == "fail_open"
        for path in ("/api/v1/complete", "/api/v1/messages"):
            refused = await s.client.post(path, json={}, headers=cookie)
            assert (refused.status_code, refused.json()["reason"]) == (503, "fail_closed")
        assert s.executions() == 1
        assert (await s.metrics()).sum("journal_pending_units") == 1


async def test_it_is_not_ready_while_nobody_can_be_identified() -> None:
    """Where only the platform's keys identify a caller, traffic waits for the first of them."""
    text = policy(identity=[{"cookie": "bb_at"}])
    async with stack(policy=text, platform_url=NOWHERE) as s:
        answer = await s.client.get(f"{s.admin}/ready")
        assert answer.status_code == 503
        assert answer.json()["dependencies"]["keys"]["ok"] is False


async def test_it_is_ready_when_the_platform_is_there() -> None:
    """With the key set fetched, and the platform answering, all is well."""
    async with stack(policy=policy(identity=[{"cookie": "bb_at"}])) as s:
        answer = await eventually(
            lambda: s.client.get(f"{s.admin}/ready"), lambda answer: answer.status_code == 200
        )
        assert all(each["ok"] for each in answer.json()["dependencies"].values())


async def test_it_finds_the_platform_when_it_comes() -> None:
    """Nothing has to be restarted: the keys are fetched, and calls are paid from then on."""
    async with Relay(NOWHERE) as wire, stack(platform_url=wire.url) as s:
        assert (await s.call()).status_code == 503
        wire.target = s.platform.url
        answer = await eventually(s.call, lambda answer: answer.status_code == 200)
        assert "ratelimit" in answer.headers
        assert s.charges() == 1
