"""A whole chain on a loopback that loses packets: run in a network namespace of its own.

`python -m tests.wire.lossy` asks so many times, prints what came of it as JSON, and is started by
`test_lossy_network.py`, which makes the namespace. What is lost comes again later than what was
sent after it, so that the kernel's TCP reorders as well.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Final

import uvloop

from tests.e2e.harness import policy
from tests.fakes.obedient_product import Act
from tests.wire.world import Cut, Outcome, World, world

ORG: Final = "org_acme"
ACTS: Final = (Act.OK, Act.CHUNKED, Act.STREAM)
POLICY: Final = policy(defaults={"platform_timeout": "600ms", "on_platform_error": "fail_open"})
AT_ONCE: Final = 16
BODY: Final = b'{"n": 1, "text": "%b"}' % (b"x" * 20_000)


async def main(requests: int) -> None:
    """Ask through the whole chain, then print outcomes and books."""
    async with world({ORG: 1_000_000}, policy_text=POLICY) as w:
        room = asyncio.Semaphore(AT_ONCE)
        seen: Counter[str] = Counter()

        async def once(number: int) -> None:
            async with room:
                marker = w.marker()
                request = w.request(ORG, marker, act=ACTS[number % len(ACTS)], body=BODY)
                outcome = await w.ask(request, through=False, seconds=30.0)
                w.check(marker, outcome)
                seen[_named(outcome)] += 1

        await asyncio.gather(*(once(number) for number in range(requests)))
        await w.rest()
        found = {"seen": seen, **_books(w), "sent_again": _counter("snmp", "Tcp", "RetransSegs")}
        print(json.dumps(found))  # noqa: T201 - it is a program


def _books(w: World) -> dict[str, int]:
    return {"paid_for": w.accounts().paid_for(ORG), "executed": w.product.executions[ORG]}


def _counter(file: str, table: str, name: str) -> int:
    """Read one of the kernel's counters of this network namespace."""
    lines = Path("/proc/net", file).read_text(encoding="ascii").splitlines()
    names, values = (line.split() for line in lines if line.startswith(f"{table}:"))
    return int(values[names.index(name)])


def _named(outcome: Outcome) -> str:
    return "cut" if isinstance(outcome, Cut) else str(outcome.status)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
