"""Killed at any moment (conformance 37): counted or journalled covers executed, none twice."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from signal import SIGKILL, SIGTERM
from typing import Any

from tests.e2e.harness import CHAT, ORG, eventually, policy, scrape, soon
from tests.e2e.programs import ProcessStack, SidecarProgram, process_stack
from tests.e2e.raw_client import RawClient, post

CONNECTIONS = 8
FAULTS: list[dict[str, Any]] = [
    {},
    {"status": 500, "error_rate": 0.5},
    {"drop_after_commit": True, "error_rate": 0.5},
    {"status": 500},
    {"malformed": "half", "error_rate": 0.3},
    {"store_down": True},
]
BUSY = policy(
    defaults={"platform_timeout": "300ms", "fail_open_budget": {"units": 10**6, "seconds": 900}}
)


class Load:
    """Callers that go on until the sidecar is gone; `sent` counts what they began."""

    def __init__(self, s: ProcessStack) -> None:
        self._request = post(CHAT, s.token())
        self.sent = 0
        self.answered = 0

    async def _call(self, url: str) -> None:
        with contextlib.suppress(OSError, EOFError):
            async with RawClient(url) as client:
                while True:
                    self.sent += 1
                    answer = await client.send(self._request)
                    assert answer.status == 200, answer
                    self.answered += 1

    @contextlib.asynccontextmanager
    async def on(self, program: SidecarProgram) -> AsyncIterator[None]:
        """Call over several connections until the block has killed the program."""
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(self._call(program.url))
            yield


async def assert_books_agree(s: ProcessStack, load: Load) -> None:
    """Check that nothing that was executed is uncounted, and nothing was counted twice."""
    await soon(
        lambda: {each.progress.value for each in s.upstream.executions},
        lambda words: "running" not in words,
    )
    keys = [each.key for each in s.platform.consumes(ORG)]
    assert None not in keys
    assert len(keys) == len(set(keys)) == s.charges()
    assert load.answered <= s.executions() <= s.charges() <= load.sent
    # Counted and not executed is at most what was under way when it was killed.
    assert s.charges() - s.executions() <= len(FAULTS) * CONNECTIONS


async def test_killed_at_random_moments() -> None:
    """SIGKILL under load with a failing platform, again and again; in the end all is counted."""
    chance = random.Random()  # noqa: S311 - any moments will do
    async with process_stack(policy=BUSY, orgs={ORG: 10**6}) as s:
        journal = s.place.policy_file.with_name("journal")
        load = Load(s)
        await s.program.close()
        for faults in FAULTS:
            program = await s.restart(journal=journal)
            try:
                await s.fault(**faults)
                async with load.on(program):
                    await asyncio.sleep(chance.uniform(0.05, 0.4))
                    program.send(SIGKILL)
                assert await program.ended() == -SIGKILL
            finally:
                await program.close()
        await s.fault()
        last = await s.restart(journal=journal)
        try:
            assert len(last.events("journal_damaged")) == 0

            async def pending() -> float:
                return (await scrape(last.admin_url)).sum("journal_pending_units")

            await eventually(pending, lambda units: units == 0)
            page = await scrape(last.admin_url)
            assert page.sum("journal_dropped_units_total") == 0
            last.send(SIGTERM)
            assert await last.ended() == 0
        finally:
            await last.close()
        assert load.answered > 30
        await assert_books_agree(s, load)
