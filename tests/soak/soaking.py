"""One soak: traffic and trouble for so long, then rest, the end of the sidecar, and the books."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.resources.measure import open_files, rss
from tests.soak.books import Row, rows
from tests.soak.chain import FREE, LIMITS, Chain, chain
from tests.soak.faults import Trouble
from tests.soak.traffic import Orgs, Traffic

CALLERS: Final = 24
PLATFORM_CONNECTIONS: Final = 64
"""What the sidecar keeps idle towards the platform."""


@dataclass
class Report:
    """What a soak came to; `wrong` is empty where all is well."""

    rows: list[Row]
    seen: Mapping[tuple[str, str], int]
    made: Mapping[str, int]
    memory: tuple[int, int]
    wrong: list[str] = field(default_factory=list)


async def soak(seconds: float, number: int) -> Report:
    """Soak for `seconds`; `number` seeds every choice."""
    random.seed(number)
    with tempfile.TemporaryDirectory(prefix="bb-soak-") as folder:
        async with chain(Path(folder)) as c:
            return await _soak(c, seconds)


async def _soak(c: Chain, seconds: float) -> Report:
    orgs = Orgs(await c.tokens(), FREE)
    traffic = Traffic(c.wires["client"].port, orgs, c.product)
    trouble = Trouble(c.platform, orgs, c.wires, c.place.policy_file, c.told)
    pid = c.sidecar.pid
    files, memory = open_files(pid) + PLATFORM_CONNECTIONS, rss(pid)
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(traffic.call_until(over))
        group.create_task(trouble.make_until(over, c.reload))
        group.create_task(_release_until(c, over))
        await asyncio.sleep(seconds)
        over.set()
    page = await c.rest()
    await _until_closed(pid, files)
    grown = rss(pid)
    status = await c.stop()
    await asyncio.sleep(0.5)
    charged, executed, lost = await c.charged(), c.product.units, c.tap.lost
    for arrival, resource, units in c.product.late:
        lost[arrival.org, resource] += units
    found = rows(LIMITS, charged, executed, lost, c.in_hand())
    report = Report(found, traffic.seen, trouble.made, (memory, grown), traffic.wrong)
    report.wrong += [
        f"{row.org} {row.resource}: {row.difference} units" for row in found if row.difference
    ]
    report.wrong += [f"{marker} was executed twice" for marker in c.product.twice]
    passed = page.by("units_total", "reason")
    uncounted = sum(row.uncounted for row in found)
    if uncounted > passed.get("fail_open", 0):
        report.wrong.append(f"{uncounted} units uncounted, {passed} passed")
    if dropped := page.sum("journal_dropped_units_total"):
        report.wrong.append(f"the journal gave up {dropped} units")
    if status:
        report.wrong.append(f"the sidecar ended with status {status}")
    report.wrong += [f"the log tells of {event['event']}: {event}" for event in _faults(c)]
    return report


def _faults(c: Chain) -> list[dict[str, object]]:
    """Return what the sidecar logged as faults of its own."""
    return [line for line in c.sidecar.log if line["event"] in {"fault", "task_failed"}]


async def _release_until(c: Chain, over: asyncio.Event) -> None:
    while not over.is_set():
        await asyncio.sleep(0.1)
        c.product.release()
    # Callers end their last request on their own, and some of them wait for the product.
    for _ in range(200):
        await asyncio.sleep(0.1)
        c.product.release()


async def _until_closed(pid: int, files: int) -> None:
    for _ in range(200):
        if open_files(pid) <= files:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{open_files(pid)} open files are left, {files} are allowed")


def summary(seen: Mapping[tuple[str, str], int]) -> str:
    """Write what callers saw, a line for each kind."""
    kinds: dict[str, Counter[str]] = {}
    for (kind, said), count in seen.items():
        kinds.setdefault(kind, Counter())[said] += count
    return "\n".join(
        f"{kind}: " + ", ".join(f"{count} {said}" for said, count in told.most_common())
        for kind, told in sorted(kinds.items())
    )
