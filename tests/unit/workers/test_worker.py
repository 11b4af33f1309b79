"""One worker process, spoken to as its supervisor does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from signal import SIGTERM

import httpx
import pytest

from sidecar.admin.state import AdminView
from sidecar.domain.share import ALONE
from sidecar.policy.file import read_policy_file
from sidecar.policy.problems import PolicyProblem
from sidecar.settings.run import Settings
from sidecar.settings.sections import ListenSettings
from sidecar.telemetry.snapshot import Snapshot, merge
from sidecar.workers.link import (
    Command,
    Condition,
    Done,
    Found,
    Link,
    LinkClosedError,
    Orders,
    Up,
    WorkerCounts,
    WorkerFailed,
)
from tests.e2e.harness import SESSION_SECRET, policy, stack

SECRET_NAME = "APP_SESSION_SECRET"


@contextlib.asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[tuple[Link, asyncio.subprocess.Process]]:
    """Start a worker and give it its orders."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sidecar.workers.worker", str(theirs.fileno()),
            pass_fds=(theirs.fileno(),), stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, SECRET_NAME: SESSION_SECRET},
        )  # fmt: skip
    link = Link(*await asyncio.open_connection(sock=ours))
    try:
        await link.send(Orders(settings, ALONE, read_policy_file(settings.policy.file)))
        yield link, process
    finally:
        link.close()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def counts_of(link: Link) -> Snapshot:
    """Receive all parts of what a worker has counted."""
    parts: list[Snapshot] = []
    while True:
        message = await link.receive()
        assert isinstance(message, WorkerCounts)
        assert message.number == len(parts)
        parts.append(message.part)
        if message.last:
            return merge(parts)


async def test_a_worker_tells_its_port_and_looks_at_itself() -> None:
    """What it counted and knows comes back when it is asked."""
    async with stack() as around, worker(around.place.settings()) as (link, _):
        up = await link.receive()
        assert isinstance(up, Up)
        async with httpx.AsyncClient() as client:
            await client.get(f"http://127.0.0.1:{up.port}/health")
        await link.send(AdminView.COUNTS)
        counts = await counts_of(link)
        assert sum(counts.values["requests_total"].values()) == 1
        await link.send(AdminView.CONDITION)
        condition = await link.receive()
        assert isinstance(condition, Condition)
        assert not condition.circumstances.draining


async def test_a_worker_that_ends_sends_its_counts_unasked() -> None:
    """What it served since the supervisor asked last stays counted."""
    async with stack() as around, worker(around.place.settings()) as (link, process):
        up = await link.receive()
        assert isinstance(up, Up)
        async with httpx.AsyncClient() as client:
            await client.get(f"http://127.0.0.1:{up.port}/elsewhere")
        process.send_signal(SIGTERM)
        counts = await counts_of(link)
        assert sum(counts.values["requests_total"].values()) == 1
        with pytest.raises(LinkClosedError):
            await link.receive()


async def test_a_worker_without_orders_ends_quietly() -> None:
    """Its supervisor ended while it began."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "sidecar.workers.worker", str(theirs.fileno()),
            pass_fds=(theirs.fileno(),), stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        theirs.close()
        ours.close()
        _, said = await asyncio.wait_for(process.communicate(), 10)
    assert (process.returncode, said) == (0, b"")


async def test_a_worker_does_as_it_is_asked() -> None:
    """A drain is on once it is answered."""
    async with stack() as around, worker(around.place.settings()) as (link, _):
        await link.receive()
        await link.send(Command.DRAIN)
        assert await link.receive() == Done()
        await link.send(AdminView.CONDITION)
        condition = await link.receive()
        assert isinstance(condition, Condition)
        assert condition.circumstances.draining


async def test_a_worker_takes_the_policy_that_it_is_sent() -> None:
    """A new one rules at once, without a look at the file; a problem leaves it in force."""
    async with stack() as around, worker(around.place.settings()) as (link, _):
        up = await link.receive()
        assert isinstance(up, Up)
        elsewhere = f"http://127.0.0.1:{up.port}/elsewhere"
        denying = policy(unmatched="deny").encode()
        async with httpx.AsyncClient() as client:
            assert (await client.get(elsewhere)).status_code == 404
            for found in (Found(denying), Found(None, (PolicyProblem("p", 1, 1, "it is bad"),))):
                await link.send(found)
                assert await link.receive() == Done()
                assert (await client.get(elsewhere)).status_code == 403
        await link.send(AdminView.CONDITION)
        condition = await link.receive()
        assert isinstance(condition, Condition)
        assert condition.circumstances.policy_problem == "p:1:1: it is bad"
        await link.send(AdminView.COUNTS)
        reloads = (await counts_of(link)).values["policy_reload_total"]
        assert (reloads["loaded",], reloads["rejected",]) == (1, 1)


async def test_a_worker_whose_supervisor_is_gone_ends() -> None:
    """No worker is left alone on the port."""
    async with stack() as around, worker(around.place.settings()) as (link, process):
        await link.receive()
        link.close()
        assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_a_worker_that_cannot_start_says_why() -> None:
    """A user's mistake goes to the supervisor as text, not to stderr as a traceback."""
    async with stack() as around:
        settings = around.place.settings()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            settings = replace(settings, listen=ListenSettings(host="127.0.0.1", port=port))
            async with worker(settings) as (link, process):
                answer = await link.receive()
                assert isinstance(answer, WorkerFailed)
                assert "is in use" in answer.text
                assert await asyncio.wait_for(process.wait(), 10) == 2
