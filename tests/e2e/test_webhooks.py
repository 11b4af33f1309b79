"""The platform's events reach the sidecar, and its notices the platform."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from sidecar.admission.ledger import LATE_SECONDS
from sidecar.client import PlatformClient, WorkspaceRecord
from sidecar.local_platform.control_wire import ApiKey, OrgBody
from tests.e2e.harness import CHAT, ORG, PRODUCT, Stack, eventually, policy, soon, stack
from tests.fakes.ingress import Ingress

PATH = "/api/_sidecar/events"
SECRET = "whsec_e2e_0123456789"
API_KEY = "bbk_e2e_0123456789"
DEFAULT_RULES = policy()


class Stopped:
    """A clock whose monotonic reading stands still: no cached denial ends by itself."""

    def __init__(self) -> None:
        self.later = 0.0

    def monotonic(self) -> float:
        return 0.0

    def time(self) -> float:
        return time.time() + self.later


@contextlib.asynccontextmanager
async def with_webhook(
    caplog: pytest.LogCaptureFixture,
    limit: int = 1,
    clock: Stopped | None = None,
    rules: str = DEFAULT_RULES,
    **environ: str,
) -> AsyncIterator[tuple[Stack, Ingress]]:
    """Run a chain whose sidecar has a webhook, until it is registered where it registers itself."""
    caplog.set_level(logging.INFO, "sidecar.events")
    async with (
        Ingress() as ingress,
        stack(
            orgs={ORG: limit},
            clock=clock or Stopped(),
            environ=environ,
            policy=rules,
            webhook_url=ingress.url + PATH,
        ) as chain,
    ):
        ingress.target = chain.url
        if not environ:
            await soon(lambda: "webhook_registered" in caplog.messages, bool)
        yield chain, ingress


async def raise_limit(chain: Stack, limit: int) -> None:
    """Do what a customer's payment does."""
    change = {"plan": f"plan-{limit}", "quotas": {"ai_calls": limit}}
    async with httpx.AsyncClient(base_url=chain.platform.url) as client:
        (await client.put(f"/_control/orgs/{ORG}", json=change)).raise_for_status()


async def outcomes(chain: Stack) -> dict[str, float]:
    """Return how many deliveries had which outcome."""
    return (await chain.metrics()).by("webhook_events_total", "outcome")


async def asked(chain: Stack) -> float:
    """Return how often the platform was asked."""
    return (await chain.metrics()).sum("consume_requests_total")


async def use_up(chain: Stack, limit: int) -> None:
    """Call until the org is refused, and its denial is cached."""
    statuses = [(await chain.call()).status_code for _ in range(limit + 1)]
    assert statuses == [200] * limit + [429]


async def test_a_raised_plan_is_felt_by_the_very_next_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The cached denial would have stood for ever: this clock does not move."""
    async with with_webhook(caplog) as (chain, _):
        await use_up(chain, 1)
        before = await asked(chain)
        assert (await chain.call()).status_code == 429
        assert await asked(chain) == before

        await raise_limit(chain, 100)
        await eventually(lambda: outcomes(chain), lambda seen: seen.get("applied", 0) >= 2)

        assert (await chain.call()).status_code == 200


async def test_a_forged_a_repeated_and_an_oversize_delivery_drop_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The denial stays cached: the platform is not asked again."""
    clock = Stopped()
    async with with_webhook(caplog, clock=clock) as (chain, ingress):
        await use_up(chain, 1)
        await raise_limit(chain, 2)
        await eventually(lambda: outcomes(chain), lambda seen: seen.get("applied", 0) >= 2)
        clock.later = LATE_SECONDS  # what is refused now was asked for after the event
        await use_up(chain, 1)  # the one unit more, and refused again
        before = await asked(chain)
        real = ingress.passed[0]
        forged = {**real.headers, "X-Bizbasics-Signature": f"sha256={'0' * 64}"}

        answers = [
            await chain.client.post(PATH, content=body, headers=headers)
            for headers, body in (
                (real.headers, real.body),
                (forged, real.body),
                (real.headers, real.body + b" "),
                ({"X-Bizbasics-Event": "org.updated"}, real.body),
                (real.headers, b"x" * 70_000),
            )
        ]

        told = [(answer.status_code, answer.json()["outcome"]) for answer in answers]
        assert told == [
            (200, "repeated"), (401, "unsigned"), (401, "unsigned"), (401, "unsigned"),
            (413, "too_large"),
        ]  # fmt: skip
        assert (await chain.call()).status_code == 429
        assert await asked(chain) == before


async def test_a_delivery_is_no_call(caplog: pytest.LogCaptureFixture) -> None:
    """The product, the policy and the requests' metric hear nothing of it."""
    async with with_webhook(caplog) as (chain, ingress):
        await raise_limit(chain, 2)
        await soon(lambda: len(ingress.passed), lambda passed: passed >= 2)
        assert {each.status for each in ingress.passed} == {200}
        assert chain.upstream.executions == []
        assert (await chain.metrics()).sum("requests_total") == 0


async def test_a_secret_that_was_given_is_used_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    """Several replicas share it; none of them registers."""
    body = f'{{"event":"org.updated","org_id":"{ORG}"}}'.encode()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "X-Bizbasics-Event": "org.updated",
        "X-Bizbasics-Signature": f"sha256={signature}",
    }
    async with with_webhook(caplog, SIDECAR_WEBHOOK_SECRET=SECRET) as (chain, _):
        answer = await chain.client.post(PATH, content=body, headers=headers)
        assert (answer.status_code, answer.json()) == (200, {"outcome": "applied"})
        assert "webhook_registered" not in caplog.messages


def signed(
    event: str, *, name_in_body: bool = True, **members: Any
) -> tuple[bytes, dict[str, str]]:
    """Write a delivery of an event about the org; return its body and fields."""
    named = {"event": event} if name_in_body else {}
    body = json.dumps({**named, "org_id": ORG, **members}).encode()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return body, {"X-Bizbasics-Event": event, "X-Bizbasics-Signature": f"sha256={signature}"}


@pytest.mark.parametrize(
    ("delivery", "ends_the_doubt"),
    [
        (lambda now: signed("entitlement.granted"), False),
        (lambda now: signed("entitlement.granted", created_at="not a time"), False),
        (lambda now: signed("entitlement.granted", created_at=now - 10), False),
        (lambda now: signed("entitlement.granted", created_at=now, name_in_body=False), False),
        (lambda now: signed("org.updated", created_at=now), False),
        (lambda now: signed("entitlement.granted", created_at=now), True),
    ],
    ids=["no time", "no such time", "older than the limit", "unsigned name", "another", "new"],
)
async def test_a_captured_delivery_makes_no_call_free_in_a_disguised_outage(
    caplog: pytest.LogCaptureFixture,
    delivery: Callable[[float], tuple[bytes, dict[str, str]]],
    *,
    ends_the_doubt: bool,
) -> None:
    """This process has never seen it, as after a restart; only news of its own time is believed."""
    defaults = {"on_platform_error": "fail_closed"}
    async with with_webhook(
        caplog, 5, rules=policy(defaults=defaults), SIDECAR_WEBHOOK_SECRET=SECRET
    ) as (chain, _):
        assert (await chain.call()).status_code == 200
        await chain.fault(store_down=True)
        cookie = chain.cookie(ORG)  # a token made after the event would speak of a limit again
        body, headers = delivery(time.time())
        answer = await chain.client.post(PATH, content=body, headers=headers)
        assert (answer.status_code, answer.json()) == (200, {"outcome": "applied"})
        statuses = {(await chain.call(org=None, headers=cookie)).status_code for _ in range(10)}
        assert statuses == ({200} if ends_the_doubt else {503})


@pytest.mark.parametrize("signature", ["", f"sha256={'0' * 64}"], ids=["none", "wrong"])
async def test_slow_strangers_keep_no_signed_delivery_out(
    caplog: pytest.LogCaptureFixture, signature: str
) -> None:
    """64 of them send a byte now and then; each signed delivery is taken meanwhile."""
    head = f"POST {PATH} HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n"
    if signature:
        head += f"X-Bizbasics-Signature: {signature}\r\n"
    async with (
        with_webhook(caplog, SIDECAR_WEBHOOK_SECRET=SECRET) as (chain, _),
        contextlib.AsyncExitStack() as crowd,
    ):
        port = urlsplit(chain.url).port
        for _ in range(64):
            stranger = crowd.enter_context(socket.create_connection(("127.0.0.1", port)))
            stranger.sendall(head.encode() + b"\r\nx")
        for number in range(20):
            body, headers = signed("org.updated", number=number)
            answer = await chain.client.post(PATH, content=body, headers=headers)
            assert (answer.status_code, answer.json()) == (200, {"outcome": "applied"})


async def test_a_platform_that_is_away_at_the_start_keeps_nobody_from_starting() -> None:
    """Until it is registered a delivery is asked to come again."""
    async with stack(platform_url="http://127.0.0.1:9", webhook_url=f"http://h{PATH}") as chain:
        answer = await chain.client.post(PATH, content=b"{}")
        assert (answer.status_code, answer.json()) == (503, {"outcome": "not_ready"})


async def test_without_a_webhook_the_path_is_a_call() -> None:
    """Off by default: no path is taken from the product."""
    async with stack() as chain:
        answer = await chain.client.post(PATH, content=b"{}")
        assert "outcome" not in answer.text
        assert len(chain.upstream.executions) == 1


@contextlib.asynccontextmanager
async def with_notices(limit: int) -> AsyncIterator[tuple[Stack, PlatformClient]]:
    """Run a chain that publishes notices, and a client of its org."""
    async with stack(
        policy=policy(notices={}), orgs={ORG: limit}, environ={"BIZBASICS_API_KEY": API_KEY}
    ) as chain:
        chain.platform.put_org(ORG, OrgBody(keys=[ApiKey(key=API_KEY, product=PRODUCT)]))
        async with PlatformClient(api_key=API_KEY, url=chain.platform.url) as client:
            yield chain, client


async def notices(client: PlatformClient) -> list[WorkspaceRecord]:
    """Return the notices that the org's people see."""
    return [record async for record in client.records(record_type="quota_notice")]


async def test_an_orgs_people_see_that_its_quota_runs_out() -> None:
    """One record, that changes as the quota does."""
    async with with_notices(5) as (chain, client):
        for _ in range(4):
            assert (await chain.call(CHAT)).status_code == 200
        (record,) = await eventually(lambda: notices(client), bool)
        assert record.title == "80 % of the quota of AI calls is used"

        await chain.call()
        (record,) = await eventually(
            lambda: notices(client), lambda found: found[0].meta["level_percent"] == 100
        )
        assert (record.source_product, record.status) == (PRODUCT, "active")

        chain.limit(ORG, 1000)
        # The denial is no more than five seconds old, and the limit is told by the next answer.
        await eventually(chain.call, lambda answer: answer.status_code == 200)
        (record,) = await eventually(
            lambda: notices(client), lambda found: found[0].status == "resolved"
        )
        assert record.meta["used"] == 6


async def test_an_org_that_the_key_is_not_of_is_served_all_the_same() -> None:
    """A notice is worth no request."""
    async with with_notices(5) as (chain, client):
        chain.platform.put_org(
            "org_other", OrgBody.model_validate({"apps": [PRODUCT], "quotas": {"ai_calls": 1}})
        )
        assert (await chain.call(org="org_other")).status_code == 200

        async def ended() -> dict[str, float]:
            return (await chain.metrics()).by("notices_total", "outcome")

        assert await eventually(ended, bool) == {"refused": 1}
        assert await notices(client) == []


async def test_notices_without_a_key_are_told_at_the_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The policy wants what the settings do not allow."""
    async with stack(policy=policy(notices={})) as chain:
        assert (await chain.call()).status_code == 200
    assert "notices_off" in caplog.messages


async def test_no_secret_of_the_webhook_is_on_any_page(caplog: pytest.LogCaptureFixture) -> None:
    """Nor in a log, where it was learned or given."""
    async with with_webhook(caplog, SIDECAR_WEBHOOK_SECRET=SECRET) as (chain, _):
        async with httpx.AsyncClient() as client:
            pages: list[Any] = [
                (await client.get(f"{chain.admin}/{page}")).text
                for page in ("policy", "ready", "metrics", "quota")
            ]
        assert not any(SECRET in page for page in pages)
    assert SECRET not in caplog.text
