"""Every reason of the interface, produced through the whole chain: status, headers, body, books."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from sidecar.domain.model import Reason, Verdict
from tests.e2e.harness import CHAT, LOCAL, ORG, Stack, eventually, policy, soon, stack

DOWN = "http://127.0.0.1:9"
"""The discard port: nothing listens there."""


def seen(answer: httpx.Response, *names: str) -> dict[str, str]:
    """Return which of the named fields an answer has."""
    return {name: answer.headers[name] for name in names if name in answer.headers}


def assert_problem(answer: httpx.Response, reason: Reason, status: int) -> dict[str, Any]:
    """Check what every refusal in the plain format must be; return its body."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    body: dict[str, Any] = answer.json()
    assert body["type"] == f"urn:bizbasics:sidecar:problem:{reason.value}"
    assert (body["status"], body["reason"]) == (status, reason.value)
    assert body["instance"] == answer.headers["x-request-id"]
    assert body["title"]
    assert body["detail"]
    return body


async def assert_counted(s: Stack, **reasons: int) -> None:
    """Check that the metrics name exactly these reasons, with the verdicts that they mean."""
    page = await s.metrics()
    assert page.by("requests_total", "reason") == reasons
    for reason in reasons:
        verdict = Reason(reason).verdict
        assert page.sum("requests_total", reason=reason, verdict=verdict.value)


async def test_within_quota() -> None:
    """A paid call carries the quota as the platform told it, and the product learns who calls."""
    async with stack(orgs={ORG: 25}) as s:
        answer = await s.call(headers={"x-request-id": "mine-1"})
        assert answer.status_code == 200
        assert answer.headers["ratelimit-policy"] == '"ai_calls";q=25;w=2592000'
        name, remaining, resets = answer.headers["ratelimit"].split(";")
        assert (name, remaining) == ('"ai_calls"', "r=24")
        assert 0 < int(resets.removeprefix("t=")) <= 31 * 86_400
        assert answer.headers["x-request-id"] == "mine-1"
        assert "x-quota-decision" not in answer.headers
        [execution] = s.upstream.executions
        assert execution.request_id == "mine-1"
        assert execution.org_id == ORG
        assert execution.header("x-bb-user-id") == "user_dev"
        assert execution.header("x-bb-plan") == "pro"
        assert execution.header("x-bb-role") == "org_owner"
        assert execution.header("x-forwarded-for") == "127.0.0.1"
        assert execution.header("x-forwarded-proto") == "http"
        assert execution.header("x-forwarded-host") == s.url.removeprefix("http://")
        await assert_counted(s, within_quota=1)
        assert s.charges() == 1


async def test_leased() -> None:
    """With `accuracy: lease` a busy org is served from units that were taken ahead."""
    async with stack(policy=policy(defaults={"accuracy": "lease"}), orgs={ORG: 100_000}) as s:
        for _ in range(60):
            answer = await s.call()
            assert answer.status_code == 200
            assert answer.headers["ratelimit-policy"] == '"ai_calls";q=100000;w=2592000'
            assert "ratelimit" in answer.headers
        page = await s.metrics()
        reasons = page.by("requests_total", "reason")
        assert reasons.keys() <= {"leased", "within_quota"}
        assert reasons["leased"] > 30
        held = page.sum("lease_units", state="held")
        assert s.charges() == s.executions() + held
        assert page.sum("consume_requests_total", outcome="granted") < 30


async def test_credited() -> None:
    """Units of a call that never reached the product pay for the next one."""
    async with stack(upstream_url=DOWN) as s:
        failed = await s.call()
        assert failed.status_code == 502
        assert s.charges() == 1
        assert (await s.metrics()).sum("credits_units") == 1
        again = await s.call()
        assert again.status_code == 502
        assert s.charges() == 1
        await assert_counted(s, within_quota=1, credited=1)


async def test_unlimited() -> None:
    """An unlimited org is counted, and told of no limit."""
    async with stack(orgs={ORG: -1}) as s:
        answer = await s.call()
        assert answer.status_code == 200
        assert seen(answer, "ratelimit", "ratelimit-policy", "x-quota-decision") == {}
        assert s.charges() == 1
        await assert_counted(s, unlimited=1)


async def test_unmetered() -> None:
    """A route that no meter sees costs nothing; the product still learns who calls."""
    async with stack() as s:
        answer = await s.call("/api/echo", method="GET")
        assert answer.status_code == 200
        assert answer.headers["x-request-id"]
        assert seen(answer, "ratelimit", "ratelimit-policy", "x-quota-decision") == {}
        anonymous = await s.call("/api/echo", method="GET", org=None)
        assert anonymous.status_code == 200
        assert [each.org_id for each in s.upstream.executions][1] == ""
        assert s.charges() == 0
        await assert_counted(s, unmetered=2)


async def test_over_quota() -> None:
    """Over the limit nothing reaches the product, and the caller learns all there is to know."""
    async with stack(orgs={ORG: 2}) as s:
        await s.call()
        await s.call()
        for _ in range(2):  # the second is the cached denial
            answer = await s.call()
            body = assert_problem(answer, Reason.OVER_QUOTA, 429)
            assert (body["resource"], body["amount"]) == ("ai_calls", 1)
            assert (body["limit"], body["used"], body["remaining"]) == (2, 2, 0)
            assert body["reset_at"].endswith("-01T00:00:00Z")
            assert answer.headers["x-should-retry"] == "false"
            assert 0 < int(answer.headers["retry-after"]) <= 86_400
            assert answer.headers["ratelimit-policy"] == '"ai_calls";q=2;w=2592000'
            assert answer.headers["ratelimit"].startswith('"ai_calls";r=0;t=')
        assert (s.charges(), s.executions()) == (2, 2)
        page = await s.metrics()
        assert page.by("consume_requests_total", "outcome") == {"granted": 2, "refused": 1}
        await assert_counted(s, within_quota=2, over_quota=2)


async def test_over_quota_with_another_status() -> None:
    """`deny_status` changes the status of over quota, and of nothing else."""
    async with stack(policy=policy(defaults={"deny_status": 402}), orgs={ORG: 0}) as s:
        assert_problem(await s.call(), Reason.OVER_QUOTA, 402)
        assert_problem(await s.call(org=None), Reason.UNAUTHENTICATED, 401)


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        (
            "openai",
            {"type": "insufficient_quota", "param": None, "code": "insufficient_quota"},
        ),
        ("anthropic", {"type": "rate_limit_error", "details": {"error_code": "over_quota"}}),
    ],
)
async def test_over_quota_in_the_words_of_an_ai_api(kind: str, wanted: dict[str, Any]) -> None:
    """With `errors: openai` or `anthropic` the body is that API's error object."""
    async with stack(policy=policy(defaults={"errors": kind}), orgs={ORG: 0}) as s:
        answer = await s.call()
        assert answer.status_code == 429
        assert answer.headers["content-type"] == "application/json"
        error = answer.json()["error"]
        assert wanted.items() <= error.items()
        assert (error["reason"], error["limit"]) == ("over_quota", 0)
        assert answer.headers["x-should-retry"] == "false"


async def test_over_quota_allowed() -> None:
    """With `on_over_quota: allow` a call over the limit passes, marked, and counts nothing."""
    async with stack(policy=policy(defaults={"on_over_quota": "allow"}), orgs={ORG: 1}) as s:
        await s.call()
        answer = await s.call()
        assert answer.status_code == 200
        assert answer.headers["x-quota-decision"] == "over_quota_allowed"
        assert answer.headers["ratelimit"].startswith('"ai_calls";r=0;t=')
        assert (s.charges(), s.executions()) == (1, 2)
        await assert_counted(s, within_quota=1, over_quota_allowed=1)


async def test_shadow() -> None:
    """In shadow no refusal of a metered route reaches a caller."""
    async with stack(policy=policy(defaults={"enforcement": "shadow"}), orgs={ORG: 1}) as s:
        paid = await s.call()
        assert "x-quota-decision" not in paid.headers
        over, anonymous = await s.call(), await s.call(org=None)
        for answer in (over, anonymous):
            assert answer.status_code == 200
            assert answer.headers["x-quota-decision"] == "shadow"
        assert (s.charges(), s.executions(None)) == (1, 3)
        await assert_counted(s, within_quota=1, shadow=2)


async def test_fail_open() -> None:
    """A call that passes without an answer is marked, told nothing of quota, and reported later."""
    async with stack() as s:
        await s.fault(status=500)
        answer = await s.call()
        assert answer.status_code == 200
        assert answer.headers["x-quota-decision"] == "fail_open"
        assert seen(answer, "ratelimit", "ratelimit-policy") == {}
        assert (s.charges(), s.executions()) == (0, 1)
        page = await s.metrics()
        assert page.sum("journal_pending_units") == 1
        assert page.by("platform_degraded_total", "kind") == {"server_error": 1}
        await assert_counted(s, fail_open=1)
        await s.fault()
        page = await s.reported()
        assert s.charges() == 1
        assert page.by("journal_replayed_units_total", "outcome")["counted"] == 1


async def test_fail_open_spent() -> None:
    """When the budget of an org is spent, its calls are refused for a few seconds each."""
    budget = {"units": 2, "seconds": 900}
    async with stack(
        policy=policy(defaults={"fail_open_budget": budget}), orgs={ORG: 25, "org_b": 25}
    ) as s:
        await s.fault(status=500)
        assert [(await s.call()).status_code for _ in range(2)] == [200, 200]
        answer = await s.call()
        assert_problem(answer, Reason.FAIL_OPEN_SPENT, 503)
        assert int(answer.headers["retry-after"]) == 5
        assert (await s.call(org="org_b")).headers["x-quota-decision"] == "fail_open"
        await assert_counted(s, fail_open=3, fail_open_spent=1)


async def test_fail_closed() -> None:
    """With `fail_closed` nothing passes without an answer."""
    async with stack(policy=policy(defaults={"on_platform_error": "fail_closed"})) as s:
        await s.fault(status=500)
        answer = await s.call()
        assert_problem(answer, Reason.FAIL_CLOSED, 503)
        assert int(answer.headers["retry-after"]) == 5
        assert (s.charges(), s.executions()) == (0, 0)
        await assert_counted(s, fail_closed=1)


async def test_last_known() -> None:
    """With `last_known` an org spends what was left when last heard of, and no more."""
    async with stack(
        policy=policy(defaults={"on_platform_error": "last_known"}), orgs={ORG: 3}
    ) as s:
        await s.call()
        await s.fault(status=500)
        for _ in range(2):
            answer = await s.call()
            assert answer.status_code == 200
            assert answer.headers["x-quota-decision"] == "last_known"
            assert "ratelimit" not in answer.headers
        assert_problem(await s.call(), Reason.OVER_QUOTA, 429)
        await assert_counted(s, within_quota=1, last_known=2, over_quota=1)
        await s.fault()
        await s.reported()
        assert (s.charges(), s.executions()) == (3, 3)


async def test_last_known_from_the_token() -> None:
    """An org never heard of goes by the snapshot in its token."""
    async with stack(
        policy=policy(defaults={"on_platform_error": "last_known"}), orgs={ORG: 1}
    ) as s:
        await s.fault(status=500)
        assert (await s.call()).headers["x-quota-decision"] == "last_known"
        assert_problem(await s.call(), Reason.OVER_QUOTA, 429)


async def test_blocked() -> None:
    """A route with `action: deny` lets no caller through."""
    route = {"name": "admin", "match": {"path": "/api/admin/**"}, "action": "deny"}
    async with stack(policy=policy(routes=[route])) as s:
        assert_problem(await s.call("/api/admin/x", method="GET"), Reason.BLOCKED, 403)
        assert s.executions(None) == 0
        await assert_counted(s, blocked=1)


async def test_unmatched() -> None:
    """With `unmatched: deny` what no route names is refused."""
    async with stack(policy=policy(unmatched="deny")) as s:
        assert_problem(await s.call("/elsewhere", method="GET"), Reason.UNMATCHED, 403)
        assert s.executions(None) == 0
        await assert_counted(s, unmatched=1)


async def test_unauthenticated() -> None:
    """A metered call needs an identity; which challenge says whether there was a bad one."""
    async with stack() as s:
        none = await s.call(org=None)
        assert_problem(none, Reason.UNAUTHENTICATED, 401)
        assert none.headers["www-authenticate"] == "Bearer"
        forged = await s.call(org=None, headers={"cookie": f"bb_at={s.token()[:-8]}AAAAAAAA"})
        assert_problem(forged, Reason.UNAUTHENTICATED, 401)
        assert forged.headers["www-authenticate"] == 'Bearer error="invalid_token"'
        assert s.executions(None) == 0
        await assert_counted(s, unauthenticated=2)
        page = await s.metrics()
        failures = page.by("identity_failures_total", "kind")
        assert failures == {"missing": 1, "bad_signature": 1}


async def test_identity_unavailable() -> None:
    """A token that no key can judge is not called bad: its caller need not sign in again."""
    async with stack(auth_url="http://127.0.0.1:9") as s:
        answer = await s.call()
        assert_problem(answer, Reason.IDENTITY_UNAVAILABLE, 503)
        assert answer.headers["retry-after"] == "5"
        assert "www-authenticate" not in answer.headers
        assert (s.charges(), s.executions(None)) == (0, 0)
        await assert_counted(s, identity_unavailable=1)


async def test_not_entitled() -> None:
    """An org without the product is refused by its token alone."""
    async with stack() as s:
        token = s.token(claims={"apps": ["other-app"]})
        answer = await s.call(org=None, headers={"authorization": f"Bearer {token}"})
        assert_problem(answer, Reason.NOT_ENTITLED, 403)
        assert (s.charges(), s.executions(None)) == (0, 0)
        await assert_counted(s, not_entitled=1)


async def test_replayed() -> None:
    """With `replay: reject` a request ID that was served is refused the second time."""
    async with stack(policy=policy(defaults={"replay": "reject"})) as s:
        first = await s.call(headers={"x-request-id": "once"})
        assert first.status_code == 200
        again = await s.call(headers={"x-request-id": "once"})
        body = assert_problem(again, Reason.REPLAYED, 409)
        assert body["instance"] == "once"
        assert again.headers["x-should-retry"] == "false"
        assert (s.charges(), s.executions()) == (1, 1)
        await assert_counted(s, within_quota=1, replayed=1)


async def test_bad_request() -> None:
    """What cannot be read safely or priced is 400, 413 or 422, and reaches nobody."""
    priced = {
        "name": "priced",
        "match": {"path": "/api/v1/complete"},
        "meter": {"amount": {"json": "/n", "max": 4}, "body_limit": 1024},
    }
    async with stack(policy=policy(routes=[priced])) as s:
        assert_problem(await s.call("/api/v1%2fchat"), Reason.BAD_REQUEST, 400)
        long = await s.call("/api/v1/complete", json={"n": 1, "text": "x" * 2000})
        assert_problem(long, Reason.BAD_REQUEST, 413)
        for amount in (5, -1, 1.5, "2", None):
            answer = await s.call("/api/v1/complete", json={"n": amount})
            assert_problem(answer, Reason.BAD_REQUEST, 422)
        assert (s.charges(), s.executions()) == (0, 0)
        await assert_counted(s, bad_request=7)


async def test_overloaded() -> None:
    """Over the cap of requests in flight the answer is 503 at once, and nothing is charged."""
    async with stack(max_inflight=1) as s:
        slow = asyncio.create_task(s.call("/api/slow?ms=60000", method="GET"))
        await soon(s.executions, lambda count: count == 1)
        answer = await s.call()
        assert_problem(answer, Reason.OVERLOADED, 503)
        assert answer.headers["retry-after"] == "1"
        assert s.charges() == 0
        slow.cancel()
        await asyncio.wait((slow,))
        page = await eventually(
            s.metrics, lambda page: page.sum("requests_total", reason="unmetered") == 1
        )
        assert page.sum("requests_total", reason="overloaded", code="503") == 1


async def test_draining() -> None:
    """A sidecar that drains refuses what is new, finishes what runs, and says it is not ready."""
    async with stack() as s:
        slow = asyncio.create_task(s.call("/api/slow?ms=300", method="GET"))
        await soon(s.executions, lambda count: count == 1)
        async with httpx.AsyncClient(base_url=s.admin) as admin:
            assert (await admin.get("/ready")).status_code == 200
            assert (await admin.post("/drain")).status_code == 202
            ready = await admin.get("/ready")
        assert ready.status_code == 503
        assert ready.json()["dependencies"]["drain"]["ok"] is False
        answer = await s.call()
        assert_problem(answer, Reason.DRAINING, 503)
        assert answer.headers["connection"] == "close"
        assert (await slow).status_code == 200
        await assert_counted(s, unmetered=1, draining=1)


async def test_what_a_client_says_of_itself_is_dropped() -> None:
    """Identity fields come from the token alone; forwarded fields from a stranger are replaced."""
    async with stack() as s:
        lies = {
            "X-BB-Org-Id": "org_victim",
            "x-bb-plan": "enterprise",
            "X-BB-Anything": "1",
            "X-Forwarded-For": "1.2.3.4",
        }
        await s.call(CHAT, headers=lies)
        [execution] = s.upstream.executions
        assert execution.org_id == ORG
        assert execution.header("x-bb-plan") == "pro"
        assert execution.header("x-bb-anything") == ""
        assert execution.header("x-forwarded-for") == "127.0.0.1"


async def test_a_trusted_proxy_is_believed() -> None:
    """From a trusted proxy the chain of forwarded fields is extended."""
    async with stack(trusted_proxies=LOCAL) as s:
        await s.call(headers={"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "https"})
        [execution] = s.upstream.executions
        assert execution.header("x-forwarded-for") == "1.2.3.4, 127.0.0.1"
        assert execution.header("x-forwarded-proto") == "https"


def test_every_reason_has_a_test_here() -> None:
    """A reason that is added to the list is added to this file."""
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {reason.value for reason in Reason} <= tested
    assert {reason for reason in Reason if reason.verdict is Verdict.DENY}
