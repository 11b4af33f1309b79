"""One worker, as its supervisor speaks to it: answers belong to their questions."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import cast

import pytest

from sidecar.admin.state import AdminView
from sidecar.telemetry.snapshot import Snapshot, merge
from sidecar.workers import process
from sidecar.workers.link import Command, Done, Found, Link, Up, WorkerCounts, WorkerQuotas
from sidecar.workers.process import WorkerProcess

Process = asyncio.subprocess.Process


@contextlib.asynccontextmanager
async def linked() -> AsyncIterator[tuple[WorkerProcess, Link]]:
    """Link a worker, of which there is but the other end."""
    ours, theirs = socket.socketpair()
    near = Link(*await asyncio.open_connection(sock=ours))
    far = Link(*await asyncio.open_connection(sock=theirs))
    worker = WorkerProcess(0, cast("Process", None), near)
    try:
        yield worker, far
    finally:
        worker.close()
        far.close()


def counted(units: int) -> Snapshot:
    """What a worker has counted."""
    return Snapshot({"units_total": {("a", "b", "c"): units}})


async def test_a_late_answer_is_not_taken_for_that_of_the_next_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker that was slow once stays in step."""
    async with linked() as (worker, far):
        with monkeypatch.context() as patched:
            patched.setattr(process, "_ANSWER_SECONDS", 0.05)
            assert await worker.ask(Command.DRAIN) is None
        await far.send(Done())  # at last
        asking = asyncio.create_task(worker.ask(Found(None)))
        assert await far.receive() == Command.DRAIN
        assert await far.receive() == Found(None)
        await far.send(Up(7))
        assert await asking == Up(7)


async def test_a_silent_worker_keeps_what_it_said_last_and_is_waited_for_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A scrape shows its last counts; the next one does not wait, nor ask again."""
    monkeypatch.setattr(process, "_ANSWER_SECONDS", 0.05)
    async with linked() as (worker, far):
        asking = asyncio.create_task(worker.ask(AdminView.COUNTS))
        await far.receive()
        await far.send(WorkerCounts(0, counted(3), last=True))
        await asking
        assert not worker.silent_seconds
        assert await worker.ask(AdminView.COUNTS) is None  # in 0.05 s
        monkeypatch.setattr(process, "_ANSWER_SECONDS", 0.001)
        assert worker.silent_seconds > 0
        assert await worker.ask(AdminView.COUNTS) is None
        assert merge(worker.counts) == counted(3)
        assert await far.receive() is AdminView.COUNTS
        await far.send(WorkerCounts(0, counted(5), last=True))  # late, and kept
        monkeypatch.setattr(process, "_ANSWER_SECONDS", 5.0)
        asking = asyncio.create_task(worker.ask(AdminView.QUOTAS))
        assert await far.receive() is AdminView.QUOTAS  # the other question was not repeated
        await far.send(WorkerQuotas(()))
        await asking
        assert merge(worker.counts) == counted(5)
        assert not worker.silent_seconds


async def test_counts_change_when_all_parts_are_there() -> None:
    """With half of them, a counter would go backwards."""
    async with linked() as (worker, far):
        for units in (1, 2):
            asking = asyncio.create_task(worker.ask(AdminView.COUNTS))
            await far.receive()
            await far.send(WorkerCounts(0, counted(units), last=False))
            assert merge(worker.counts) == (Snapshot() if units == 1 else counted(2))
            await far.send(WorkerCounts(1, counted(units), last=True))
            await asking
            assert merge(worker.counts) == counted(2 * units)


async def test_the_last_counts_of_a_worker_are_received() -> None:
    """It sends its counts unasked, also in the middle of an answer that it then cuts off."""
    async with linked() as (worker, far):
        asking = asyncio.create_task(worker.ask(AdminView.COUNTS))
        await far.receive()
        await far.send(WorkerCounts(0, counted(1), last=False))
        await far.send(WorkerCounts(0, counted(7), last=True))
        far.close()
        await worker.receive_last_counts()
        assert merge(worker.counts) == counted(7)
        await asking


async def test_a_worker_that_is_gone_answers_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Neither waits for it, nor is it reported as silent: its end is."""
    async with linked() as (worker, far):
        far.close()
        await worker.receive_last_counts()
        await worker.order(Command.DRAIN)
        assert await worker.ask(AdminView.CONDITION) is None
        assert worker.condition is None
    assert caplog.messages == []


async def test_an_order_without_an_answer_is_reported(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log says which worker, and what it was to do."""
    monkeypatch.setattr(process, "_ANSWER_SECONDS", 0.01)
    async with linked() as (worker, _):
        await worker.order(Command.DRAIN)
    assert caplog.messages == ["worker_silent"]
