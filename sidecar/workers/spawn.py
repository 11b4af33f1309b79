"""Starts and ends processes of this program: no cancellation leaves one behind."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from typing import Any


async def start_process(
    *command: str,
    env: Mapping[str, str],
    pass_fds: Sequence[int] = (),
) -> Process:
    """Start a process in a session of its own. Raises OSError where it cannot be started.

    A cancellation while it starts kills it and waits for its end. The event loop's own function
    would leave it running then, with no one to wait for it. A terminal's Ctrl-C reaches the parent
    alone, which decides.
    """
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(*command, env=env, pass_fds=pass_fds, start_new_session=True)
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await _whatever_comes(starting)
        if starting.exception() is None:
            await end_process(starting.result())
        raise


async def end_process(process: Process) -> None:
    """Kill a process and wait for its end, also when the caller is cancelled meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    ending = asyncio.ensure_future(process.wait())
    if await _whatever_comes(ending):
        raise asyncio.CancelledError


async def _whatever_comes(task: asyncio.Task[Any]) -> bool:
    """Wait for a task's end; return whether the caller was cancelled meanwhile."""
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError:
            cancelled = True
    return cancelled
