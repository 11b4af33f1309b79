"""One worker, as its supervisor speaks to it: answers belong to their questions."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import cast

import pytest

from sidecar.workers import process
from sidecar.workers.link import Ask, Done, Failed, Found, Link, Up
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


async def test_a_late_answer_is_not_taken_for_that_of_the_next_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker that was slow once is not out of step for good."""
    async with linked() as (worker, far):
        with monkeypatch.context() as patched:
            patched.setattr(process, "_ANSWER_SECONDS", 0.05)
            assert await worker.ask(Ask.DRAIN) is None
        await far.send(Done())  # at last
        asking = asyncio.create_task(worker.ask(Found(None)))
        assert await far.receive() == Ask.DRAIN
        assert await far.receive() == Found(None)
        await far.send(Up(7))
        assert await asking == Up(7)


async def test_an_answer_that_is_cut_in_two_by_a_timeout_is_read_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is left of it is not read as a length."""
    async with linked() as (worker, far):
        long = Failed("x" * 3_000_000)  # more than a socket holds: it takes several rounds
        sending = asyncio.create_task(far.send(long))
        with monkeypatch.context() as patched:
            patched.setattr(process, "_ANSWER_SECONDS", 0.0001)
            await worker.ask(Ask.LOOK)
        asking = asyncio.create_task(worker.ask(Ask.LOOK))
        await sending
        await far.send(Done())
        assert await asking in (Done(), long)  # the first in time, if it was
        assert await far.receive() == await far.receive() == Ask.LOOK


async def test_who_is_gone_answers_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """That is told once for what should have been done."""
    async with linked() as (worker, far):
        far.close()
        await worker.tell(Ask.DRAIN)
        await worker.look()
        assert worker.last is None
    assert caplog.messages == ["worker_silent"]
