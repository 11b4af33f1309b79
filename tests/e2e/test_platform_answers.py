"""What the platform can answer, over the real wire: each has its outcome and its own label.

Conformance 35 and 36, and what readiness says of it.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import Any

import pytest

from sidecar.platform.breaker import Breaker
from tests.e2e.harness import CHAT, ORG, Stack, eventually, policy, soon, stack
from tests.e2e.relay import Relay

QUICK = policy(defaults={"platform_timeout": "300ms"})

ANSWERS: dict[str, tuple[dict[str, Any], str]] = {
    "401": ({"status": 401}, "credential_refused"),
    "403": ({"status": 403}, "forbidden"),
    "404": ({"status": 404}, "not_found"),
    "409": ({"status": 409}, "conflict"),
    "422": ({"status": 422}, "unprocessable"),
    "429": ({"status": 429}, "rate_limited"),
    "500": ({"status": 500}, "server_error"),
    "503": ({"status": 503}, "server_error"),
    "204": ({"status": 204}, "unexpected_status"),
    "302": ({"status": 302}, "unexpected_status"),
    "a hang": ({"hang": True}, "timeout"),
    "no answer": ({"drop_after_commit": True}, "reset"),
    "a half answer": ({"malformed": "half"}, "reset"),
    "HTML": ({"malformed": "html"}, "malformed"),
    "nothing": ({"malformed": "empty"}, "malformed"),
    "half of the JSON": ({"malformed": "truncated"}, "malformed"),
    "wrong types": ({"malformed": "wrong_types"}, "malformed"),
    "missing fields": ({"malformed": "missing_fields"}, "malformed"),
    "negative numbers": ({"malformed": "negative"}, "malformed"),
    "remaining over limit": ({"malformed": "over_limit"}, "malformed"),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_that_is_none(name: str) -> None:
    """It fails open, is labelled, and is reported, here at the shutdown: counted once."""
    faults, kind = ANSWERS[name]
    async with stack(policy=QUICK) as s:
        await s.fault(**faults)
        answer = await s.call()
        assert answer.status_code == 200
        assert answer.headers["x-quota-decision"] == "fail_open"
        assert "ratelimit" not in answer.headers
        page = await s.metrics()
        assert page.by("platform_degraded_total", "kind") == {kind: 1}
        assert page.sum("consume_requests_total", outcome=kind) >= 1
        await s.fault()
        await s.stop()
        assert (s.charges(), s.executions()) == (1, 1)


@pytest.mark.parametrize("kind", ["hang", "drop_after_commit"])
async def test_an_unknown_result_is_asked_about_once_more(kind: str) -> None:
    """There is one retry within the deadline, and no third try."""
    # A cut is noticed at once, so there is time for a busy machine; a hang is what time is for.
    async with stack(policy=QUICK if kind == "hang" else policy()) as s:
        await s.fault(**{kind: True})
        await s.call()
        assert (await s.metrics()).sum("consume_requests_total") == 2
        await s.fault()


async def test_a_no_is_not_asked_about_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A 403 is an answer: one request, and the breaker stays closed however many come."""
    monkeypatch.setattr("sidecar.admission.reporter.IDLE_SECONDS", 3600.0)  # its journal waits
    async with stack() as s:
        await s.fault(status=403)
        for _ in range(10):
            await s.call()
        page = await s.metrics()
        assert page.by("consume_requests_total", "outcome") == {"forbidden": 10}
        assert page.sum("platform_breaker_state") == 0


async def test_a_platform_that_is_ill_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The breaker opens after a few failures, costs the product nothing, and closes by itself."""
    # Longer than the calls below take on a busy machine.
    monkeypatch.setattr("sidecar.app.engine.Breaker", partial(Breaker, first_pause=6.0))
    async with stack(orgs={ORG: 1000}) as s:
        await s.fault(status=500)
        for _ in range(20):
            assert (await s.call()).headers["x-quota-decision"] == "fail_open"
        page = await s.metrics()
        assert page.sum("platform_breaker_state") == 2
        assert page.sum("consume_requests_total") < 10
        assert page.sum("platform_degraded_total", kind="breaker_open") > 10
        ready = await s.client.get(f"{s.admin}/ready")
        assert ready.status_code == 200
        assert "the policy decides alone" in ready.json()["dependencies"]["platform"]["detail"]
        await s.fault()
        page = await s.reported()
        assert page.sum("platform_breaker_state") == 0
        assert (s.charges(), s.executions()) == (20, 20)


async def test_a_route_that_must_have_an_answer_makes_it_unready_for_a_while() -> None:
    """With a fail-closed route a platform that is down takes the instance out of service.

    Only calls find out that it is back, so traffic is let in again when the next may ask it.
    """

    async def ready() -> int:
        return (await s.client.get(f"{s.admin}/ready")).status_code

    async with stack(policy=policy(defaults={"on_platform_error": "fail_closed"})) as s:
        await s.fault(status=500)
        for _ in range(6):
            assert (await s.call()).status_code == 503
        assert await ready() == 503
        await eventually(ready, lambda status: status == 200)
        assert (await s.call()).status_code == 503
        assert await ready() == 503
        await s.fault()
        await eventually(ready, lambda status: status == 200)
        assert (await s.call()).status_code == 200
        assert await ready() == 200


class ShiftedClock:
    """The time of day, and how far a test has turned it on."""

    def __init__(self) -> None:
        self.shift = 0.0

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic() + self.shift

    def time(self) -> float:
        """Unix seconds."""
        return time.time() + self.shift


async def assert_disguised(s: Stack, *, org_cookie: dict[str, str]) -> None:
    """Check that an "unlimited" is taken for the platform's store being down."""
    answer = await s.client.post(CHAT, json={}, headers=org_cookie)
    assert answer.status_code == 200
    assert answer.headers["x-quota-decision"] == "fail_open"
    assert (await s.metrics()).sum("platform_degraded_total", kind="disguised") >= 1


async def believed(s: Stack, cookie: dict[str, str]) -> bool:
    """Say whether an "unlimited" is taken as it is said."""
    answer = await s.client.post(CHAT, json={}, headers=cookie)
    return answer.status_code == 200 and "x-quota-decision" not in answer.headers


async def test_a_disguised_failure_after_an_answer_with_a_limit() -> None:
    """An org whose limit was told is not suddenly unlimited; later all of it is counted."""
    async with stack(orgs={ORG: 10}) as s:
        cookie = s.cookie(claims={"quotas": {}})
        assert (await s.client.post(CHAT, json={}, headers=cookie)).status_code == 200
        await s.fault(store_down=True)
        await assert_disguised(s, org_cookie=cookie)
        assert s.charges() == 1
        await s.fault()
        await s.reported()
        assert (s.charges(), s.executions()) == (2, 2)


async def test_a_disguised_failure_by_the_tokens_snapshot() -> None:
    """An org never heard of, whose token names a limit, is not unlimited either."""
    async with stack(orgs={ORG: 10}) as s:
        await s.fault(store_down=True)
        await assert_disguised(s, org_cookie=s.cookie())


async def test_an_org_that_nobody_knows_a_limit_of_is_unlimited() -> None:
    """Where nothing says otherwise, the platform's word is taken."""
    async with stack(orgs={ORG: 10}) as s:
        await s.fault(store_down=True)
        assert await believed(s, s.cookie(claims={"quotas": {}}))


async def test_a_token_issued_since_ends_the_disguise() -> None:
    """When a newer token says unlimited, so it is."""
    clock = ShiftedClock()
    async with stack(orgs={ORG: 10}, clock=clock) as s:
        cookie = s.cookie(ttl=3600)
        assert (await s.client.post(CHAT, json={}, headers=cookie)).status_code == 200
        s.limit(ORG, -1)
        assert not await believed(s, cookie)
        now = int(clock.time())
        fresh = s.cookie(claims={"iat": now + 2, "exp": now + 3600})
        clock.shift = 3
        assert await believed(s, fresh)
        assert await believed(s, cookie)


async def test_an_entitlement_event_ends_the_disguise(caplog: pytest.LogCaptureFixture) -> None:
    """When the platform has told of the org's new rights, its "unlimited" is one of them."""
    caplog.set_level(logging.INFO, "sidecar")
    async with (
        Relay("http://127.0.0.1:9") as ingress,
        stack(orgs={ORG: 10}, webhook_url=f"{ingress.url}/api/_sidecar/events") as s,
    ):
        ingress.target = s.url
        await soon(lambda: "webhook_registered" in caplog.messages, bool)
        cookie = s.cookie(ttl=3600)
        assert (await s.client.post(CHAT, json={}, headers=cookie)).status_code == 200
        await s.fault(store_down=True)
        assert not await believed(s, cookie)
        await s.fault()
        s.limit(ORG, -1)

        async def now_believed() -> bool:
            return await believed(s, cookie)

        await eventually(now_believed, bool)


async def test_ten_minutes_end_the_disguise() -> None:
    """A limit that was lifted without a word is believed in the end."""
    clock = ShiftedClock()
    async with stack(orgs={ORG: 10}, clock=clock) as s:
        cookie = s.cookie(ttl=3600)
        assert (await s.client.post(CHAT, json={}, headers=cookie)).status_code == 200
        s.limit(ORG, -1)
        for minutes in (0, 5, 9):
            clock.shift = minutes * 60
            assert not await believed(s, cookie)
        clock.shift = 601
        assert await believed(s, cookie)


@pytest.mark.parametrize("mode", ["fail_closed", "last_known"])
async def test_a_disguised_failure_follows_the_policy(mode: str) -> None:
    """It is a failure like any other: refused, or counted down, as the route says."""
    async with stack(policy=policy(defaults={"on_platform_error": mode}), orgs={ORG: 2}) as s:
        assert (await s.call()).status_code == 200
        await s.fault(store_down=True)
        answer = await s.call()
        if mode == "fail_closed":
            assert answer.json()["reason"] == "fail_closed"
        else:
            assert answer.headers["x-quota-decision"] == "last_known"
            assert (await s.call()).json()["reason"] == "over_quota"


async def test_metrics_agree_with_the_platform() -> None:
    """What was told of an org is on /metrics and /quota, as the platform has it."""
    async with stack(orgs={ORG: 10}) as s:
        for _ in range(3):
            await s.call()
        page = await eventually(s.metrics, lambda page: page.sum("quota_used_units") == 3)
        assert page.sum("quota_limit_units", org=ORG, resource="ai_calls") == 10
        assert page.sum("quota_remaining_units", org=ORG, resource="ai_calls") == 7
        quota = (await s.client.get(f"{s.admin}/quota")).json()["orgs"][ORG]["ai_calls"]
        assert (quota["used"], quota["limit"], quota["remaining"]) == (3, 10, 7)
