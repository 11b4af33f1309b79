"""Executed and charged, to the unit, over replicas, restarts, workers, kills and wrong clocks."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGKILL
from typing import Any

import httpx
import pytest

from sidecar.app.wiring import App
from tests.e2e.harness import CHAT, LOCAL, ORG, Stack, policy, scrape, stack
from tests.e2e.programs import ProcessStack, process_stack
from tests.fakes.upstreams import RefusingPort

DAY = 86_400.0


class SkewedClock:
    """A clock that is ahead of the platform's by so many seconds; behind, where less than 0."""

    def __init__(self, ahead: float) -> None:
        self.ahead = ahead

    def monotonic(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        return time.time() + self.ahead


@contextlib.asynccontextmanager
async def second_replica(s: Stack, **flags: object) -> AsyncIterator[App]:
    """Run another replica beside the first, before a product that can be reached."""
    app = App(s.place.settings(trusted_proxies=LOCAL, **flags), s.place.environ)
    await app.start()
    try:
        yield app
    finally:
        await app.stop(2.0)


@contextlib.asynccontextmanager
async def killed_at_the_end(s: ProcessStack, **flags: Any) -> AsyncIterator[str]:
    """Run another process in the place of the first, and kill it; give its URL."""
    program = await s.restart(**flags)
    try:
        yield program.url
        program.send(SIGKILL)
        await program.ended()
    finally:
        await program.close()


async def ask(s: Stack, url: str, request_id: str, body: object = None) -> int:
    """Ask the replica at `url`, as a trusted proxy with an ID of its own."""
    async with httpx.AsyncClient() as client:
        answer = await client.post(
            f"{url}{CHAT}",
            json=body or {},
            headers={**s.cookie(), "x-request-id": request_id},
        )
    return answer.status_code


async def test_a_retry_at_another_replica_is_paid_for() -> None:
    """40 executed, 20 charged: A's product was not there, and its credits paid other calls."""
    async with RefusingPort() as nobody:
        upstream = f"http://127.0.0.1:{nobody.port}"
        async with stack(upstream_url=upstream, trusted_proxies=LOCAL, orgs={ORG: 1000}) as s:
            first = s.sidecars[0]
            reached = s.upstream.url
            async with second_replica(s, upstream=reached) as second:
                for n in range(20):
                    assert await ask(s, first.url, f"id-{n}") == 502
                    assert await ask(s, second.url, f"id-{n}") == 200
            async with second_replica(s, upstream=reached) as third:
                for n in range(20):
                    await ask(s, third.url, f"other-{n}")
            assert (s.executions(), s.charges()) == (40, 40)
            page = await s.metrics()
            assert page.by("credits_lost_units_total", "cause")["shared_key"] == 20


async def test_one_id_with_another_amount_is_another_charge() -> None:
    """20,020 units executed, 20 charged."""
    priced = policy(
        routes=[
            {
                "name": "priced",
                "match": {"path": CHAT},
                "meter": {"amount": {"json": "/n", "default": 1, "max": 1000}},
            }
        ]
    )
    async with (
        stack(policy=priced, trusted_proxies=LOCAL, orgs={ORG: 100_000}) as s,
        second_replica(s) as second,
    ):
        for n in range(20):
            assert await ask(s, s.url, f"id-{n}", {"n": 1}) == 200
            assert await ask(s, second.url, f"id-{n}", {"n": 1000}) == 200
        assert sum(each.amount for each in s.platform.consumes(ORG)) == 20_020


async def test_a_restart_renews_no_budget(tmp_path: Path) -> None:
    """Budget 20, five restarts: 100 executed."""
    budget = policy(
        defaults={
            "platform_timeout": "100ms",
            "fail_open_budget": {"units": 20, "seconds": 900},
        }
    )
    async with process_stack(policy=budget, orgs={ORG: 1000}) as s:
        await s.program.close()
        await s.fault(status=500)
        for _ in range(5):
            async with killed_at_the_end(s, journal=tmp_path / "journal") as url:
                await _calls(s, url, 25, statuses=(200, 503))
        assert (s.executions(), s.charges()) == (20, 0)


async def test_workers_share_one_budget() -> None:
    """Budget 3, two workers: 6 executed."""
    budget = policy(
        defaults={"platform_timeout": "100ms", "fail_open_budget": {"units": 3, "seconds": 900}}
    )
    async with process_stack(policy=budget, orgs={ORG: 1000}, workers=2) as s:
        await s.fault(status=500)
        for _ in range(40):  # a connection each, so that both workers get some
            async with httpx.AsyncClient() as client:
                await client.post(f"{s.url}{CHAT}", json={}, headers=s.cookie())
        assert s.executions() == 3


LEASED = policy(defaults={"accuracy": "lease"})


async def test_what_a_replica_holds_idle_is_bounded() -> None:
    """334 of 6,000 units stayed at A while B refused: 60 are a hundredth."""
    async with stack(policy=LEASED, orgs={ORG: 6000}, replicas=2) as s:
        first, second = s.sidecars

        async def spend(url: str, calls: int) -> int:
            async with httpx.AsyncClient(headers=s.cookie()) as client:
                answers = [await client.post(f"{url}{CHAT}", json={}) for _ in range(calls)]
            return sum(answer.status_code == 200 for answer in answers)

        passed = sum(await asyncio.gather(*(spend(first.url, 150) for _ in range(8))))
        held = (await scrape(first.admin_url)).sum("lease_units", state="held")
        assert passed == 1200
        assert 0 < held <= 60
        assert s.charges() == passed + held
        s.limit(ORG, s.charges())
        assert await spend(second.url, 1) == 0
        assert (await scrape(second.admin_url)).sum("lease_units") == 0


async def test_a_kill_loses_no_more_than_a_replica_may_hold() -> None:
    """Four killed replicas lost 1,283 of 5,429."""
    async with process_stack(policy=LEASED, orgs={ORG: 5429}) as s:
        await s.program.close()
        for _ in range(4):
            async with killed_at_the_end(s) as url, asyncio.TaskGroup() as group:
                for _ in range(8):
                    group.create_task(_calls(s, url, 40))
        assert s.executions() == 4 * 8 * 40
        assert 0 <= s.charges() - s.executions() <= 4 * 54


async def _calls(s: Stack, url: str, count: int, *, statuses: Collection[int] = (200,)) -> None:
    async with httpx.AsyncClient(headers=s.cookie()) as client:
        for _ in range(count):
            assert (await client.post(f"{url}{CHAT}", json={})).status_code in statuses


def month_end() -> float:
    """Return when the platform's quota period ends, Unix seconds."""
    now = datetime.now(UTC)
    year, month = (now.year + 1, 1) if now.month == 12 else (now.year, now.month + 1)
    return datetime(year, month, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("past", [2.0, 60.0, 600.0, 40 * DAY])
async def test_a_lease_burns_no_quota_where_its_period_is_past(past: float) -> None:
    """664 executed, 25,000 charged: our clock says that the period ended `past` seconds ago."""
    clock = SkewedClock(month_end() - time.time() + past)
    async with stack(policy=LEASED, orgs={ORG: 25_000}, clock=clock) as s:
        cookie = {"cookie": f"bb_at={s.token(ttl=80 * 86_400)}"}
        async with httpx.AsyncClient(headers=cookie) as client:
            for _ in range(300):
                assert (await client.post(f"{s.url}{CHAT}", json={})).status_code == 200
        page = await s.metrics()
        held = page.sum("lease_units", state="held")
        lost = page.sum("credits_lost_units_total")
        assert s.executions() == 300
        assert s.charges() == 300 + held + lost
        assert held + lost <= 250
