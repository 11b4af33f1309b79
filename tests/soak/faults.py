"""What goes wrong meanwhile: on the platform, on each wire, and in the policy file."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import httpx

from tests.soak.traffic import Orgs
from tests.wire.fault_proxy import CLEAN, Ending, FaultProxy, Way, Wire

HEAD: Final = 200
"""Bytes within every head that the sidecar sends to the product."""

ANSWER: Final = 35
"""Bytes within every answer of the product."""

PLATFORM: Final[dict[str, dict[str, Any]]] = {
    "slow": {"latency_ms": 120},
    "late": {"latency_ms": 600},
    "hangs": {"hang": True},
    "500": {"status": 500},
    "some 503": {"status": 503, "error_rate": 0.3},
    "429": {"status": 429, "error_rate": 0.5},
    "401": {"status": 401},
    "409": {"status": 409, "error_rate": 0.3},
    "loses answers": {"drop_after_commit": True, "error_rate": 0.5},
    "html": {"malformed": "html"},
    "half answers": {"malformed": "half", "error_rate": 0.5},
    "wrong types": {"malformed": "wrong_types", "error_rate": 0.5},
    "store down": {"store_down": True},
}


class Trouble:
    """Makes one fault after another; `made` counts them."""

    def __init__(
        self,
        platform: httpx.AsyncClient,
        orgs: Orgs,
        wires: dict[str, FaultProxy],
        policy: Path,
        told: Callable[[], Awaitable[bool]],
    ) -> None:
        """`told` waits until the sidecar owes the platform nothing."""
        self._platform = platform
        self._told = told
        self._orgs = orgs
        self._wires = wires
        self._policy = policy
        self._good = policy.read_text()
        self.made: Counter[str] = Counter()

    async def make_until(self, over: asyncio.Event, reload: Callable[[], Awaitable[None]]) -> None:
        """Make trouble, one kind at a time and rests between; end with all in order."""
        kinds = [self._platform_fails, self._platform_fails, self._wire_fails, self._wire_fails]
        while not over.is_set():
            if random.random() < 0.2:
                await self._reload(reload)
            else:
                await random.choice(kinds)()
            await asyncio.sleep(random.random() * 0.5)
        self._policy.write_text(self._good)
        await reload()

    async def _platform_fails(self) -> None:
        name = random.choice(sorted(PLATFORM))
        self.made[f"platform {name}"] += 1
        if name == "store down":
            async with self._orgs.lies():
                # What is owed for the unlimited org would be taken for counted, too.
                if await self._told():
                    await self._fail(PLATFORM[name])
        else:
            await self._fail(PLATFORM[name])

    async def _fail(self, faults: dict[str, Any]) -> None:
        (await self._platform.put("/_control/faults", json=faults)).raise_for_status()
        await asyncio.sleep(random.random())
        (await self._platform.delete("/_control/faults")).raise_for_status()
        await asyncio.sleep(0.7)  # answers of then may still be on their way

    async def _wire_fails(self) -> None:
        side = random.choice(sorted(self._wires))
        name, spoilt = random.choice(_wires(side))
        self.made[f"{side} wire: {name}"] += 1
        wire = self._wires[side]
        share = random.choice([0.1, 0.5, 1.0])
        wire.wire = lambda _: spoilt if random.random() < share else CLEAN
        await asyncio.sleep(random.random())
        wire.wire = CLEAN

    async def _reload(self, reload: Callable[[], Awaitable[None]]) -> None:
        good = random.random() < 0.5
        self.made["reload of a good policy" if good else "reload of a bad policy"] += 1
        text = f"# {random.random()}\n{self._good}" if good else "version: 3\n"
        self._policy.write_text(text)
        await reload()


def _wires(side: str) -> list[tuple[str, Wire]]:
    """Return what may happen on a side.

    Towards the product a connection is cut within its first request or answer: a reset between
    two could destroy a request that nobody has heard, and no book could tell.
    """
    there, back = (HEAD, ANSWER) if side == "upstream" else (2_000, 2_000)
    found = [
        ("narrow", Wire(there=Way(latency=0.0005, piece=50), back=Way(latency=0.0005, piece=50))),
        ("jitter", Wire(there=Way(jitter=0.05), back=Way(jitter=0.05))),
        ("late connect", Wire(connects_after=0.2)),
        ("half open", Wire(half_open=True)),
    ]
    for ending in Ending:
        at = random.randrange(there)
        found.append((f"{ending.name} there", Wire(there=Way(stops_after=at, ending=ending))))
        at = random.randrange(back)
        found.append((f"{ending.name} back", Wire(back=Way(stops_after=at, ending=ending))))
    return found
