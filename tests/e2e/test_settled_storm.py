"""Settled calls in trouble: retries after a kill, and many at once."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from signal import SIGKILL
from typing import Final

import httpx
import openai
import orjson
import pytest

from tests.e2e.harness import LOCAL, ORG, Stack, eventually, policy, scrape, stack
from tests.e2e.programs import SidecarProgram, process_stack
from tests.soak.settled_plans import Ending, Plan, Shape
from tests.soak.settled_product import SettledProduct

PATH: Final = "/v1/chat/completions"
LIMIT: Final = 100


def plan_of(marker: str, tokens: int) -> str:
    """Plan an answer of so many tokens."""
    plan = Plan(marker, Shape.OPENAI, False, Ending.WHOLE, 0, 0, tokens, 3)
    return orjson.dumps(dataclasses.asdict(plan)).decode()


def metered(default: int = 1, amount: int = 1) -> str:
    """Write a policy in which a token is a unit, and calls announce their tokens."""
    hold = {"json": "/max_tokens", "default": default, "max": 1000}
    usage = {"format": "openai", "per": 1, "weights": {"input": 0}, "hold": hold}
    meter = {"amount": amount, "platform_timeout": "1s", "usage": usage}
    return policy(routes=[{"name": "chat", "match": {"path": PATH}, "meter": meter}])


async def ask(url: str, s: Stack, marker: str, tokens: int, **fields: str) -> int:
    """Make a call that announces just what it will cost."""
    headers = {**s.cookie(), **fields, "x-plan": plan_of(marker, tokens)}
    body = {"model": "m", "max_tokens": tokens}
    async with httpx.AsyncClient(timeout=20.0) as client:
        return (await client.post(f"{url}{PATH}", json=body, headers=headers)).status_code


@pytest.mark.parametrize("most", [5, 30])
async def test_calls_at_once_do_not_overshoot_where_they_announce_their_most(most: int) -> None:
    """Limit 100, 64 at once, again and again until nothing passes: no unit is overrun."""
    async with (
        SettledProduct() as product,
        stack(policy=metered(), orgs={ORG: LIMIT}, upstream_url=product.url) as s,
    ):
        answers: Counter[int] = Counter()
        for turn in range(4):
            statuses = await asyncio.gather(
                *(ask(s.url, s, f"{turn}-{n}", 1 + (7 * n + turn) % most) for n in range(64))
            )
            answers.update(statuses)
        page = await eventually(
            s.metrics, lambda p: not p.sum("held_units") + p.sum("journal_pending_units")
        )
        spent = sum(each.plan.output for each in product.executions.values())
        assert set(answers) == {200, 429}
        assert answers[200] == len(product.executions)
        assert page.sum("settled_units_total", outcome="overrun") == 0
        assert s.charges() - page.sum("credits_units") == spent
        assert LIMIT - most <= spent <= LIMIT


async def test_calls_of_an_sdk_at_once_do_not_overshoot_by_their_max_tokens() -> None:
    """Limit 100, 64 at once with the SDK's own retries: no unit is overrun, or charged twice."""
    async with (
        SettledProduct() as product,
        stack(policy=metered(), orgs={ORG: LIMIT}, upstream_url=product.url) as s,
        openai.AsyncOpenAI(base_url=f"{s.url}/v1", api_key=s.token()) as client,
    ):

        async def complete(n: int) -> None:
            tokens = 1 + n % 30
            await client.chat.completions.create(
                model="m",
                max_tokens=tokens,
                messages=[{"role": "user", "content": "how much is this"}],
                extra_headers={"x-plan": plan_of(f"c{n}", tokens)},
            )

        calls = (complete(n) for n in range(64))
        ended = await asyncio.gather(*calls, return_exceptions=True)
        page = await eventually(
            s.metrics, lambda p: not p.sum("held_units") + p.sum("journal_pending_units")
        )
        refused = [each for each in ended if each is not None]
        assert refused
        assert all(isinstance(each, openai.RateLimitError) for each in refused)
        spent = sum(each.plan.output for each in product.executions.values())
        assert page.sum("settled_units_total", outcome="overrun") == 0
        assert LIMIT - 30 <= s.charges() - page.sum("credits_units") == spent <= LIMIT


async def pending(program: SidecarProgram, units: int) -> None:
    """Wait until so many units are in the journal, and what is owed of them is held."""

    async def read() -> tuple[float, float]:
        page = await scrape(program.admin_url)
        return page.sum("journal_pending_units"), page.sum("held_units")

    await eventually(read, lambda found: found == (units, max(0, units - 1)))


async def test_what_a_deposit_was_over_its_cost_is_given_back_after_a_kill() -> None:
    """The platform did not answer it; it is counted after the restart, and 5 of 8 are a credit."""
    async with (
        SettledProduct() as product,
        process_stack(policy=metered(amount=8), orgs={ORG: 1000}, upstream_url=product.url) as s,
    ):
        await s.program.close()
        journal = s.place.policy_file.with_name("journal")
        await s.fault(status=500)
        first = await s.restart(journal=journal)
        try:
            assert await ask(first.url, s, "c", 3) == 200
            await eventually(
                lambda: scrape(first.admin_url),
                lambda page: page.sum("settled_units_total", outcome="returned") == 5,
            )
            first.send(SIGKILL)
            await first.ended()
        finally:
            await first.close()
        await s.fault()
        second = await s.restart(journal=journal)
        try:
            await eventually(
                lambda: scrape(second.admin_url), lambda page: page.sum("credits_units") == 5
            )
            assert s.charges() == 8
        finally:
            await second.close()


async def test_a_request_id_that_comes_again_after_a_kill_is_settled_for_itself() -> None:
    """What the first call of it owes still waits: two executions owe, each its own."""
    async with (
        SettledProduct() as product,
        process_stack(policy=metered(), orgs={ORG: 1000}, upstream_url=product.url) as s,
    ):
        await s.program.close()
        journal = s.place.policy_file.with_name("journal")
        await s.fault(status=500)
        for n in range(3):
            program = await s.restart(journal=journal, trusted_proxies=LOCAL)
            try:
                request = {"x-request-id": "one"}
                assert await ask(program.url, s, f"c{n}", 11, **request) == 200
                await pending(program, 1 + (n + 1) * 10)
                program.send(SIGKILL)
                await program.ended()
            finally:
                await program.close()
        await s.fault()
        last = await s.restart(journal=journal, trusted_proxies=LOCAL)
        try:
            await pending(last, 0)
        finally:
            await last.close()
        # One deposit: without Redis all have one key, and the platform takes them for retries.
        assert s.charges() == 1 + 3 * 10
