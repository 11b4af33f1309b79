"""What a process holds: memory and open files, read from outside."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
from pathlib import Path

from tests.e2e.programs import ProcessStack

FULL = os.environ.get("BB_RESOURCES") == "full"
"""Set by `make resources`: the counts that docs/limits.md tells of, not a tenth of them."""

MIB = 1 << 20


def scaled(count: int) -> int:
    """Return the count to try with: the whole where that was asked for, else a tenth."""
    return count if FULL else count // 10


def rss(pid: int) -> int:
    """Return the resident memory of a process, in bytes."""
    return int(_said("ps", "-o", "rss=", "-p", str(pid))) * 1024


def open_files(pid: int) -> int:
    """Count the open files of a process, sockets among them."""
    folder = Path("/proc", str(pid), "fd")
    if folder.is_dir():
        return len(list(folder.iterdir()))
    return len(_said("lsof", "-n", "-P", "-p", str(pid)).splitlines()) - 1


def allow_files(count: int) -> None:
    """Let this process, and those that it starts, open so many files.

    Raises AssertionError, which says what to do, where the machine does not let it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        enough = hard == resource.RLIM_INFINITY or hard >= count
        assert enough, f"{count} open files are needed and {hard} allowed: raise `ulimit -Hn`"
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


async def settled(stack: ProcessStack, files: int, seconds: float = 60.0) -> int:
    """Wait until nothing is in flight and no more than `files` are open; return the memory."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    pid = stack.program.pid
    while True:
        page = await stack.metrics()
        busy = page.sum("inflight_requests") + page.sum("open_connections")
        owed = page.sum("journal_pending_units")
        left = open_files(pid)
        if not busy and not owed and left <= files:
            return rss(pid)
        assert loop.time() < end, (
            f"after {seconds} s still {busy} requests and connections, "
            f"{owed} units in the journal, {left} open files instead of {files}"
        )
        await asyncio.sleep(0.1)


def _said(*words: str) -> str:
    ran = subprocess.run(words, capture_output=True, text=True, check=True, timeout=20)  # noqa: S603
    return ran.stdout.strip()
