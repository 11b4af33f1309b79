"""`--workers 2` as a process: one port, one admin port, workers that are replaced and drained."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from signal import SIGHUP, SIGKILL, SIGTERM
from typing import Any

import httpx
import pytest

from sidecar.admin.state import AdminView
from sidecar.domain.share import Share
from sidecar.workers.conditions import UNKNOWN
from sidecar.workers.link import Condition, Found
from sidecar.workers.supervisor import Supervisor
from tests.e2e.harness import Stack, eventually, policy, scrape, soon, stack
from tests.e2e.programs import SIDECAR, SidecarProgram, process_stack, start

WORKERS = 2


@contextlib.asynccontextmanager
async def supervised(**flags: Any) -> AsyncIterator[tuple[Stack, SidecarProgram]]:
    """Run a chain whose sidecar has two workers."""
    async with process_stack(workers=WORKERS, orgs={"org_acme": 1000}, **flags) as around:
        yield around, around.program


def workers_of(program: SidecarProgram) -> list[int]:
    """Return the pids of the workers."""
    pid = program.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children]


def running(pid: int) -> bool:
    """Whether there is such a process."""
    return Path(f"/proc/{pid}").exists()


async def calls(stack: Stack, count: int) -> list[int]:
    """Call `count` times, each on a connection of its own; return the statuses."""
    async with httpx.AsyncClient(
        base_url=stack.url, limits=httpx.Limits(max_keepalive_connections=0)
    ) as client:
        headers = stack.cookie()
        answers = [
            await client.post("/api/v1/chat", json={}, headers=headers) for _ in range(count)
        ]
    return [answer.status_code for answer in answers]


async def test_workers_share_the_port_and_their_counts_are_added_up() -> None:
    """Whichever worker answers, one page counts it, and it agrees with the platform."""
    async with supervised() as (stack, _):
        assert await calls(stack, 20) == [200] * 20
        page = await scrape(stack.admin)
        assert page.sum("requests_total", code="200") == 20
        assert page.sum("units_total") == stack.charges() == stack.executions() == 20
        assert page.sum("build_info") == 1


async def test_a_worker_that_dies_is_replaced_and_what_it_counted_stays() -> None:
    """A SIGKILL costs its calls under way, and nothing of the counts that were told."""
    async with supervised() as (stack, program):
        await calls(stack, 10)
        await scrape(stack.admin)
        before = workers_of(program)
        os.kill(before[0], SIGKILL)

        async def alive() -> int:
            return len(set(workers_of(program)) - {before[0]})

        await eventually(alive, lambda count: count == WORKERS)

        async def ready() -> int:
            async with httpx.AsyncClient() as client:
                return (await client.get(f"{stack.admin}/ready")).status_code

        await eventually(ready, lambda status: status == 200)
        assert await calls(stack, 10) == [200] * 10
        page = await scrape(stack.admin)
        assert page.sum("requests_total", code="200") == 20
        assert program.events("worker_died")


async def test_a_replaced_worker_has_the_policy_in_force() -> None:
    """Not that of the start, nor none: the file may be bad meanwhile."""
    async with supervised() as (stack, program):
        stack.place.policy_file.write_text(policy(unmatched="deny"))

        async def statuses() -> set[int]:
            async with httpx.AsyncClient() as client:
                return {(await client.get(f"{stack.url}/other")).status_code for _ in range(6)}

        assert await eventually(statuses, lambda found: found == {403})
        stack.place.policy_file.write_text("version: 9\n")
        await program.event("policy_rejected")
        before = workers_of(program)
        os.kill(before[0], SIGKILL)

        async def replaced() -> bool:
            started = len(program.events("worker_started")) == WORKERS + 1
            return started and len(workers_of(program)) == WORKERS

        await eventually(replaced, bool)
        assert {code for _ in range(5) for code in await statuses()} == {403}
        page = await scrape(stack.admin)
        assert page.sum("policy_last_reload_successful") == 0


async def test_sigterm_while_a_worker_is_replaced_leaves_no_process() -> None:
    """Nor a traceback: who was just about to serve ends with the others."""
    async with supervised() as (_, program):
        pids = workers_of(program)
        os.kill(pids[0], SIGKILL)
        await program.event("worker_died")

        async def starting() -> set[int]:
            return set(workers_of(program)) - set(pids)

        new = await eventually(starting, bool)
        program.send(SIGTERM)
        assert await program.ended() == 0
        assert not [pid for pid in new | set(pids) if running(pid)]


async def test_a_drain_is_announced_once_with_the_requests_of_all_workers() -> None:
    """The number that a person waits for, and not one for each worker."""
    async with supervised() as (stack, program):
        streams = [
            asyncio.create_task(stack.call("/api/v1/stream?n=5&interval_ms=100", method="GET"))
            for _ in range(6)
        ]
        await soon(stack.executions, lambda count: count == len(streams))
        program.send(SIGTERM)
        assert {(await each).status_code for each in streams} == {200}
        assert await program.ended() == 0
        draining = [each["requests"] for each in program.events("draining")]
        assert draining == [len(streams)]


async def test_sigterm_cuts_the_start_short() -> None:
    """No worker is started any more, and none is left."""
    async with supervised() as (stack, _):
        flags = stack.place.flags(workers=6)
        program = await start(
            *SIDECAR, "run", *flags, environ=stack.place.environ, kind=SidecarProgram
        )
        assert isinstance(program, SidecarProgram)
        try:
            await program.event("worker_started")
            program.send(SIGTERM)
            assert await program.ended() == 0
            assert not program.events("started")
            assert len(program.events("worker_started")) < 6
        finally:
            await program.close()


async def test_a_stuck_worker_is_not_sent_the_policy_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has it once; each probe would add another until it goes on."""
    async with stack() as around:
        content = around.place.policy_file.read_bytes()
        supervisor = Supervisor(around.place.settings(workers=2), around.place.environ, content)
        sent: list[object] = []

        class Worker:
            """One with another policy."""

            def __init__(self, silent_seconds: float) -> None:
                self.silent_seconds = silent_seconds
                self.condition = Condition(UNKNOWN, "another", 0)

            async def ask(self, _: object) -> None:
                """Answer nothing."""

            async def order(self, order: object) -> None:
                """Keep the order."""
                sent.append((self.silent_seconds, order))

        monkeypatch.setattr(supervisor._fleet, "serving", {0: Worker(9.0), 1: Worker(0.0)})
        await supervisor.refresh(AdminView.CONDITION)
        await asyncio.gather(*supervisor._orders_sent)
    assert sent == [(0.0, Found(content))]


async def test_each_worker_has_its_share_of_the_limits() -> None:
    """Its number and how many there are, so that a limit for all can be divided."""
    async with stack() as around:
        supervisor = Supervisor(
            around.place.settings(workers=3),
            around.place.environ,
            around.place.policy_file.read_bytes(),
        )
        shares = [supervisor._orders_for(index).share for index in range(3)]
    assert shares == [Share(0, 3), Share(1, 3), Share(2, 3)]


async def test_it_ends_at_once_in_the_middle_of_a_reading() -> None:
    """What is read then is of no use."""
    async with supervised() as (stack, program):
        stack.place.policy_file.write_text(policy(unmatched="deny"))
        program.send(SIGHUP)
        program.send(SIGTERM)
        assert await program.ended() == 0
        assert not program.events("worker_silent")


async def test_reload_and_drain_reach_every_worker() -> None:
    """One POST to the admin port changes all of them."""
    async with supervised() as (stack, _):
        stack.place.policy_file.write_text(policy(unmatched="deny"))
        async with httpx.AsyncClient() as client:
            reloaded = await client.post(f"{stack.admin}/reload")
            assert reloaded.json() == {"outcome": "loaded"}

            async def statuses() -> set[int]:
                return {(await client.get(f"{stack.url}/other")).status_code for _ in range(6)}

            await eventually(statuses, lambda found: found == {403})
            assert (await client.post(f"{stack.admin}/drain")).status_code == 202

            async def drained() -> set[int]:
                try:
                    return set(await calls(stack, 6))
                except httpx.ReadError:  # no request was on it yet when the drain began
                    return set()

            await eventually(drained, lambda found: found == {503})
            assert (await client.get(f"{stack.admin}/ready")).status_code == 503


async def test_sigterm_ends_all_and_a_stream_under_way_is_whole() -> None:
    """The drain is each worker's own, and the exit status is 0."""
    async with supervised(drain_seconds=10) as (stack, program):
        path = "/api/v1/stream?n=10&interval_ms=100"
        async with stack.client.stream("GET", path, headers=stack.cookie()) as answer:
            lines = answer.aiter_lines()
            await anext(lines)
            program.send(SIGTERM)
            rest = [line async for line in lines]
        assert sum(line.startswith("data:") for line in rest) >= 9
        assert await program.ended() == 0


async def test_sighup_reloads_and_a_bad_policy_changes_nothing() -> None:
    """A rejected file is told in readiness, and traffic goes on."""
    async with supervised() as (stack, program):
        stack.place.policy_file.write_text("version: 9\n")
        program.send(SIGHUP)

        async def told() -> str:
            async with httpx.AsyncClient() as client:
                answer = await client.get(f"{stack.admin}/ready")
                return str(answer.json()["dependencies"]["policy"]["detail"])

        assert "last good policy" in await eventually(told, lambda text: "rejected" in text)
        assert await calls(stack, 4) == [200] * 4


async def test_each_worker_has_a_journal_of_its_own(tmp_path: Path) -> None:
    """Two processes never write one journal."""
    journal = tmp_path / "journal"
    async with supervised(journal=journal):
        assert {"journal", "journal.1"} <= set(os.listdir(tmp_path))  # noqa: PTH208
