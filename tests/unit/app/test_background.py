"""A background task ends with its owner, and a fault in it is logged."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from sidecar.app.background import own_task


async def test_a_task_ends_with_its_owner() -> None:
    """Nothing is left running."""
    async with contextlib.AsyncExitStack() as owner:
        task = own_task(owner, asyncio.sleep(60), "sleeper")
        await asyncio.sleep(0)
    assert task.cancelled()


async def test_a_fault_is_logged_with_the_name_of_its_task(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A task that has ended by itself does its work no more."""

    async def fail() -> None:
        raise RuntimeError("broken")

    async with contextlib.AsyncExitStack() as owner:
        task = own_task(owner, fail(), "failing")
        await asyncio.wait((task,))
        await asyncio.sleep(0)
    (record,) = caplog.records
    assert (record.message, record.__dict__["task"]) == ("task_failed", "failing")
