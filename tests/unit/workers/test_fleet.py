"""The workers' processes: whatever happens to them, they are replaced, ended and waited for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from signal import SIGKILL, SIGSTOP
from typing import Any

import pytest
import uvloop

from sidecar.domain.errors import UserError
from sidecar.domain.share import Share
from sidecar.workers.fleet import Fleet, _pause_after
from sidecar.workers.link import Orders
from tests.e2e.harness import SESSION_SECRET, Place, policy, soon, stack

CONTENT = policy().encode()


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers read the policy for themselves, with the secrets of the environment."""
    monkeypatch.setenv("APP_SESSION_SECRET", SESSION_SECRET)


def children() -> set[str]:
    """Return this process's children, zombies included."""
    pid = os.getpid()
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split())


def orders_of(place: Place, **flags: Any) -> Callable[[int], Orders]:
    """Return what gives each worker its orders."""
    settings = place.settings(**flags)
    return lambda index: Orders(settings, Share(index, 2), CONTENT)


def nothing(*_: object) -> None:
    """Do nothing with a worker that is up."""


async def test_a_worker_that_cannot_be_replaced_is_tried_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the reason, which readiness names; a keeper that ended would leave one less."""
    async with stack() as around:
        fleet = Fleet(1, orders_of(around.place), nothing)
        reasons: list[Exception] = [OSError("no room"), UserError("--workers: no"), ValueError()]

        async def spawn(_: int) -> None:
            if reasons:
                raise reasons.pop()

        monkeypatch.setattr(fleet, "_spawn", spawn)
        monkeypatch.setattr("sidecar.workers.fleet._RESTART_SECONDS", 0.001)
        assert [await fleet._replace(0, failures) for failures in range(2)] == [False, False]
        [place] = fleet.places()
        assert place.absent is not None
        assert place.absent.why == "it cannot be replaced: --workers: no"
        since = place.absent.since
        assert [await fleet._replace(0, failures) for failures in range(2)] == [False, True]
        assert fleet.places()[0].absent == replace(
            place.absent, since=since, why="it cannot be replaced: a fault; the log has it"
        )
    assert caplog.messages.count("worker_not_started") == 3


def test_the_pause_grows_while_a_worker_cannot_be_replaced() -> None:
    """Each try is a process: without a pause it would take a core."""
    pauses = [_pause_after(failures) for failures in (0, 1, 2, 3, 4, 5, 1000)]
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.8])
def test_a_start_that_is_cut_short_leaves_no_process(seconds: float) -> None:
    """Whatever moment the end comes at, on the loop that serves."""
    before = children()

    async def cut_short() -> None:
        async with stack() as around:
            fleet = Fleet(2, orders_of(around.place), nothing)
            starting = asyncio.ensure_future(fleet.start())
            await asyncio.sleep(seconds)
            starting.cancel()
            await asyncio.wait((starting,))
            await fleet.stop(0)
            assert not fleet.pids()

    uvloop.run(cut_short())
    assert children() <= before


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.05, 0.3])
def test_an_end_while_a_worker_is_replaced_leaves_no_process(
    monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """The replacement is ended and waited for, however far it has come."""
    monkeypatch.setattr("sidecar.workers.fleet._RESTART_SECONDS", 0.0)
    before = children()

    async def end() -> None:
        async with stack() as around:
            fleet = Fleet(1, orders_of(around.place), nothing)
            await fleet.start()
            os.kill(fleet.pids()[0], SIGKILL)
            await soon(lambda: fleet.serving, lambda serving: not serving)
            await asyncio.sleep(seconds)
            await fleet.stop(0)

    uvloop.run(end())
    assert children() <= before


def test_a_worker_that_is_stopped_ends_with_the_others() -> None:
    """It is woken, so that it drains; none is waited for until it is killed."""
    before = children()

    async def end() -> None:
        async with stack() as around:
            fleet = Fleet(1, orders_of(around.place), nothing)
            await fleet.start()
            os.kill(fleet.pids()[0], SIGSTOP)
            await fleet.stop(3600)

    uvloop.run(end())
    assert children() <= before


def test_a_worker_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its drain and a little more."""
    monkeypatch.setattr("sidecar.workers.fleet._END_SECONDS", 0.01)
    before = children()

    async def end() -> None:
        async with stack() as around:
            fleet = Fleet(1, orders_of(around.place), nothing)
            await fleet.start()
            monkeypatch.setattr(fleet, "hurry", lambda: None)
            await fleet.stop(0)

    uvloop.run(end())
    assert children() <= before
