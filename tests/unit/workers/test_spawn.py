"""Processes are ended and waited for, whatever happens to who started them."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
import uvloop

from sidecar.workers.spawn import end_process, start_process

SLEEPING = (sys.executable, "-c", "import time; time.sleep(60)")


def children() -> set[str]:
    """Return this process's children, zombies included."""
    pid = os.getpid()
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split())


@pytest.mark.parametrize("turns", range(8))
def test_a_cancellation_at_any_moment_leaves_no_process(turns: int) -> None:
    """Neither running nor unwaited: uvloop's own function leaves it running."""
    before = children()

    async def cancel() -> None:
        starting = asyncio.ensure_future(start_process(*SLEEPING, env={}))
        for _ in range(turns):
            await asyncio.sleep(0)
        starting.cancel()
        starting.cancel()
        await asyncio.wait((starting,))
        if not starting.cancelled():
            await end_process(starting.result())

    uvloop.run(cancel())
    assert children() <= before


def test_the_end_is_waited_for_though_the_caller_is_cancelled() -> None:
    """The cancellation comes through, after the end."""
    before = children()

    async def cancel() -> None:
        process = await start_process(*SLEEPING, env={})
        ending = asyncio.ensure_future(end_process(process))
        await asyncio.sleep(0)
        ending.cancel()
        await asyncio.wait((ending,))
        assert ending.cancelled()
        assert process.returncode == -9

    uvloop.run(cancel())
    assert children() <= before


async def test_a_program_that_is_not_there_is_an_oserror() -> None:
    """For who names it better."""
    with pytest.raises(OSError, match="no-such-program"):
        await start_process("/no-such-program", env={})
