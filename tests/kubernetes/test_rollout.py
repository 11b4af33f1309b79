"""A rollout under traffic: an old pod ends as Kubernetes ends it, and no caller notices."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import httpx

from tests.e2e.harness import CHAT, ORG, eventually
from tests.e2e.programs import ProcessStack, SidecarProgram, process_stack, run
from tests.kubernetes.kubelet import end_pod

PAUSE = 0.02
"""Seconds between two calls of a caller: the rollout is tried, not the throughput."""

_PROPAGATION = 1.0
"""Seconds from a pod's end until no load balancer sends it new calls."""


@dataclass
class Balancer:
    """Callers over the endpoints that are known at the moment; connections are kept open."""

    stack: ProcessStack
    endpoints: list[str]
    answers: Counter[str] = field(default_factory=Counter)
    _going: bool = True

    async def call_on(self, number: int) -> None:
        """Call again and again, at one endpoint after the other."""
        cookie = self.stack.cookie()
        async with httpx.AsyncClient(timeout=20) as client:
            turn = number
            while self._going:
                turn += 1
                url = self.endpoints[turn % len(self.endpoints)]
                try:
                    answer = await client.post(
                        f"{url}{CHAT}", headers=cookie, json={"message": "x"}
                    )
                    self.answers[str(answer.status_code)] += 1
                except httpx.TransportError as error:
                    self.answers[type(error).__name__] += 1
                await asyncio.sleep(PAUSE)

    def stop(self) -> None:
        """Let every caller finish its call and go."""
        self._going = False


async def _stream(stack: ProcessStack, url: str) -> list[str]:
    """Read a stream of about four seconds to its end."""
    async with (
        httpx.AsyncClient(timeout=20) as client,
        client.stream(
            "GET", f"{url}/api/v1/stream?n=20&interval_ms=200", headers=stack.cookie()
        ) as answer,
    ):
        assert answer.status_code == 200
        return [line async for line in answer.aiter_lines() if line.startswith("data")]


async def _ready(program: SidecarProgram) -> None:
    async def asked() -> int:
        async with httpx.AsyncClient() as client:
            return (await client.get(f"{program.admin_url}/ready")).status_code

    await eventually(asked, lambda status: status == 200)


async def test_no_call_is_lost_in_a_rollout() -> None:
    """The new pod is ready before the old one ends; the hook outlasts the load balancers.

    Callers reach the old pod for a second after its end has begun, and streams that it carries run
    for longer than the hook: all of them come whole.
    """
    async with process_stack(orgs={ORG: 1_000_000}) as stack:
        old = stack.program
        await _ready(old)
        balancer = Balancer(stack, [old.url])
        callers = [asyncio.ensure_future(balancer.call_on(number)) for number in range(4)]
        streams = [asyncio.ensure_future(_stream(stack, old.url)) for _ in range(3)]
        new = await stack.restart(issuer=stack.platform.url)
        try:
            await _ready(new)
            balancer.endpoints = [old.url, new.url]
            await asyncio.sleep(0.3)
            ending = asyncio.ensure_future(end_pod(old, after=2))
            await asyncio.sleep(_PROPAGATION)
            balancer.endpoints = [new.url]
            assert await ending == 0
            assert [len(await each) for each in streams] == [20, 20, 20]
            balancer.stop()
            await asyncio.gather(*callers)
        finally:
            for caller in callers:
                caller.cancel()
            await new.close()
        assert set(balancer.answers) == {"200"}, balancer.answers
        assert balancer.answers["200"] > 50


async def test_a_drained_pod_is_unready_and_refuses() -> None:
    """After the hook a late caller is told at once, and load balancers that ask see it too."""
    async with process_stack() as stack:
        await _ready(stack.program)
        ending = asyncio.ensure_future(_stream(stack, stack.program.url))
        await asyncio.sleep(0.3)
        await _run_hook(stack.program)
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{stack.program.admin_url}/ready")).status_code == 503
            late = await client.post(
                f"{stack.program.url}{CHAT}", headers=stack.cookie(), json={"message": "x"}
            )
        assert late.status_code == 503
        assert late.json()["reason"] == "draining"
        assert len(await ending) == 20


async def _run_hook(program: SidecarProgram) -> None:
    """Run the preStop hook alone."""
    admin = program.admin_url.removeprefix("http://")
    status, _, err = await run("drain", "--admin", admin)
    assert status == 0, err
