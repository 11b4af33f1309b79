"""The policy file of the interface, before a real product: feature by feature."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import jwt
import pytest

from tests.e2e.harness import ORG, PRODUCT, SESSION_SECRET, Stack, policy, stack

INTERFACE = """
version: 1
product: acme-notes

identity:
  - cookie: bb_at
  - bearer: true
  - cookie: acme-notes_session
    secret_env: APP_SESSION_SECRET

defaults:
  resource: ai_calls
  amount: 1
  accuracy: exact
  on_over_quota: deny
  on_platform_error: fail_open
  fail_open_budget: {units: 1000, seconds: 900}
  platform_timeout: 5s
  refund: unreached
  replay: charge
  enforcement: enforce
  errors: problem
  deny_status: 429

routes:
  - name: chat
    match: {path: /api/v1/chat/**, methods: [POST]}
    meter:
      amount: {json: /n, default: 1, max: 16}
  - name: premium-model
    match: {path: /api/v1/complete, methods: [POST]}
    meter:
      amount: {json: /model, map: {gpt-big: 5, gpt-small: 1}, default: 1}
  - name: upload
    match: {path: /api/files/*, methods: [PUT]}
    meter:
      resource: storage_bytes
      amount: {header: content-length}
      on_platform_error: fail_closed
  - name: admin
    match: {path: /api/admin/**}
    action: deny
  - name: rest
    match: {path: /**}
    action: allow

unmatched: allow
"""
"""As it stands in the interface, but for the platform's timeout: a busy machine needs longer."""


def session(**claims: Any) -> str:
    """Make the product's own session, as the product would."""
    ours = {
        "org_id": ORG,
        "user_id": "user_of_session",
        "role": "member",
        "plan": "pro",
        "apps": [PRODUCT],
        "exp": int(time.time()) + 600,
    }
    return jwt.encode({**ours, **claims}, SESSION_SECRET, algorithm="HS256")


def units(s: Stack) -> Counter[tuple[str, int]]:
    """Return how often which amount of which resource was counted."""
    return Counter((each.resource, each.amount) for each in s.platform.consumes(ORG))


@pytest.mark.parametrize(
    ("path", "body", "amount"),
    [
        ("/api/v1/chat", {}, 1),
        ("/api/v1/chat", {"n": 3}, 3),
        ("/api/v1/chat/deep/er", {"n": 16}, 16),
        ("/api/v1/complete", {"model": "gpt-big"}, 5),
        ("/api/v1/complete", {"model": "gpt-small"}, 1),
        ("/api/v1/complete", {"model": "another"}, 1),
        ("/api/v1/complete", {}, 1),
    ],
)
async def test_an_amount_from_the_body(path: str, body: dict[str, Any], amount: int) -> None:
    """A number, a number's default, a price by name, and the default of that."""
    async with stack(policy=INTERFACE) as s:
        await s.call(path, json=body)
        assert units(s) == {("ai_calls", amount): 1}
        assert s.executions() == 1


async def test_an_amount_over_the_most() -> None:
    """It is refused, and nothing is counted."""
    async with stack(policy=INTERFACE) as s:
        assert (await s.call("/api/v1/chat", json={"n": 17})).status_code == 422
        assert (units(s), s.executions()) == ({}, 0)


async def test_an_upload_by_its_length() -> None:
    """Bytes are counted as bytes, `*` is one segment, and another method is not metered."""
    async with stack(policy=INTERFACE, orgs={ORG: {"ai_calls": 5, "storage_bytes": 100}}) as s:
        stored = await s.call("/api/files/a", method="PUT", content=b"x" * 70)
        assert stored.status_code == 201
        assert stored.headers["ratelimit"].startswith('"storage_bytes";r=30;')
        full = await s.call("/api/files/b", method="PUT", content=b"x" * 31)
        assert (full.status_code, full.json()["resource"]) == (429, "storage_bytes")
        await s.call("/api/files/b", method="PUT", content=b"")
        await s.call("/api/files/b/c", method="PUT", content=b"x" * 31)
        await s.call("/api/files/b", method="GET")
        assert units(s) == {("storage_bytes", 70): 1}


async def test_each_route_fails_as_it_says() -> None:
    """With the platform down a chat goes on, marked, and an upload is refused."""
    async with stack(policy=INTERFACE) as s:
        await s.fault(status=500)
        chat = await s.call("/api/v1/chat")
        assert (chat.status_code, chat.headers["x-quota-decision"]) == (200, "fail_open")
        assert "ratelimit" not in chat.headers
        upload = await s.call("/api/files/a", method="PUT", content=b"x")
        assert (upload.status_code, upload.json()["reason"]) == (503, "fail_closed")
        assert s.executions() == 1


async def test_what_is_denied_and_what_is_free() -> None:
    """A denied tree is denied in every spelling; the rest passes, and the first match wins."""
    async with stack(policy=INTERFACE) as s:
        for path in ("/api/admin", "/api/admin/users", "/API/Admin/", "/api/x/../admin/a"):
            assert (await s.call(path, method="GET")).status_code == 403
        assert (await s.call("/api/echo", method="GET", org=None)).status_code == 200
        assert (await s.call("/api/v1/chat", method="GET", org=None)).status_code != 401
        assert units(s) == {}


async def test_every_source_of_identity_pays() -> None:
    """Cookie, bearer and the product's own session: each pays for its org, and is told upstream."""
    async with stack(policy=INTERFACE) as s:
        token = s.token()
        for headers in (
            {"cookie": f"bb_at={token}"},
            {"authorization": f"Bearer {token}"},
            {"cookie": f"{PRODUCT}_session={session()}"},
        ):
            assert (await s.call(org=None, headers=headers)).status_code == 200
        users = [each.header("x-bb-user-id") for each in s.upstream.executions]
        assert users == ["user_dev", "user_dev", "user_of_session"]
        assert s.charges() == 3


@pytest.mark.parametrize(
    "headers",
    [
        {"cookie": "bb_at=garbage", "authorization": "Bearer {token}"},
        {"cookie": "acme-notes_session={session}; bb_at=garbage"},
        {"authorization": "Bearer garbage", "cookie": "acme-notes_session={session}"},
        {"cookie": "acme-notes_session={foreign}"},
        {"cookie": "acme-notes_session={expired}"},
        {"cookie": "acme-notes_session={token}"},
        {"cookie": "bb_at={session}"},
    ],
)
async def test_the_first_source_that_is_present_decides(headers: dict[str, str]) -> None:
    """A bad token is refused however good the next one is, and no source takes another's token."""
    async with stack(policy=INTERFACE) as s:
        tokens = {
            "token": s.token(),
            "session": session(),
            "expired": session(exp=int(time.time()) - 61),
            "foreign": jwt.encode({"org_id": ORG, "exp": 2**32}, "x" * 32, algorithm="HS256"),
        }
        given = {name: value.format(**tokens) for name, value in headers.items()}
        assert (await s.call(org=None, headers=given)).status_code == 401
        assert (units(s), s.executions(None)) == ({}, 0)


async def test_a_session_of_an_org_without_the_product() -> None:
    """`apps` is asked of the product's own session as well."""
    async with stack(policy=INTERFACE) as s:
        cookie = f"{PRODUCT}_session={session(apps=['other-app'])}"
        answer = await s.call(org=None, headers={"cookie": cookie})
        assert (answer.status_code, answer.json()["reason"]) == (403, "not_entitled")
        assert s.executions(None) == 0


@pytest.mark.parametrize(("refund", "charges"), [("never", 3), ("unreached", 3), ("failed", 2)])
async def test_what_a_failed_call_gives_back(refund: str, charges: int) -> None:
    """A 5xx of the product is paid for, unless the policy says that it is not."""
    broken = {"name": "broken", "match": {"path": "/api/status/*"}, "meter": {}}
    text = policy(defaults={"refund": refund}, routes=[broken])
    async with stack(policy=text) as s:
        statuses = [(await s.call(f"/api/status/{code}")).status_code for code in (404, 503, 200)]
        assert statuses == [404, 503, 200]
        assert (s.charges(), s.executions()) == (charges, 3)
        assert (await s.metrics()).sum("credits_units") == 0


async def test_headers_that_choose_a_route() -> None:
    """A route with `headers` takes the calls that have them; the others fall to the next."""
    paid = {
        "name": "paid",
        "match": {"path": "/api/echo", "headers": {"X-Mode": "best"}},
        "meter": {"amount": 5},
    }
    async with stack(policy=policy(routes=[paid])) as s:
        for mode in ("best", "Best", "plain"):
            assert (await s.call("/api/echo", headers={"x-mode": mode})).status_code == 200
        assert units(s) == {("ai_calls", 5): 1}
        assert (await s.metrics()).by("requests_total", "route") == {"paid": 1, "unmatched": 2}
