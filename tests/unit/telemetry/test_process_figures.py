from __future__ import annotations

import asyncio
import os
import sys
import time

import pytest
import uvloop
from prometheus_client import ProcessCollector

from sidecar.telemetry.process_figures import ProcessFigures

BURNING = """
import os, time
files = [open(os.devnull) for _ in range(50)]
until = time.process_time() + 0.3
while time.process_time() < until: pass
print(flush=True)
input()
"""


def figures(collector: ProcessFigures | ProcessCollector) -> dict[str, float]:
    """The samples of a collector, by name."""
    return {each.name: each.value for family in collector.collect() for each in family.samples}


def test_one_process_shows_what_the_library_shows() -> None:
    """The same names, and the same figures but for what happened in between."""
    ours, theirs = figures(ProcessFigures()), figures(ProcessCollector(registry=None))
    assert sorted(ours) == sorted(theirs)
    for name in ("process_start_time_seconds", "process_max_fds"):
        assert ours[name] == theirs[name]
    assert abs(ours["process_open_fds"] - theirs["process_open_fds"]) <= 3
    cpu = "process_cpu_seconds_total"
    assert ours[cpu] == pytest.approx(theirs[cpu], abs=5)


def test_workers_are_added_and_their_cpu_stays_when_they_are_gone() -> None:
    """Before they end, as zombies, and after they were waited for."""
    uvloop.run(_add_and_end_a_worker())


async def _add_and_end_a_worker() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", BURNING, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    workers: list[int] = []
    collector = ProcessFigures(lambda: workers)
    alone = figures(collector)
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdout.readline()
    workers.append(process.pid)
    both = figures(collector)
    cpu = "process_cpu_seconds_total"
    assert both[cpu] >= alone[cpu] + 0.25
    assert both["process_open_fds"] >= alone["process_open_fds"] + 50
    assert both["process_resident_memory_bytes"] > alone["process_resident_memory_bytes"]
    assert both["process_start_time_seconds"] == alone["process_start_time_seconds"]
    before = both[cpu]
    process.kill()
    until = time.monotonic() + 5
    while process.returncode is None and time.monotonic() < until:
        assert figures(collector)[cpu] >= before  # as a zombie, too
        await asyncio.sleep(0)
    await process.wait()
    assert figures(collector)[cpu] >= before
    workers.clear()
    assert figures(collector)[cpu] >= before
    assert figures(collector)["process_open_fds"] < both["process_open_fds"]


def test_a_process_that_is_gone_counts_for_nothing() -> None:
    """It may end at any moment."""
    pid = os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable, "-c", ""])  # noqa: S606 - ours
    os.waitpid(pid, 0)
    alone, with_it = figures(ProcessFigures(list)), figures(ProcessFigures(lambda: [pid]))
    assert with_it["process_max_fds"] == alone["process_max_fds"]
