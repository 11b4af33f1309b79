"""`python -m tests.soak.settled --calls N`: calls that are settled by usage, under every trouble.

Three dialects, whole and streamed, a quarter of the streams without usage, while clients leave at
random bytes, the product fails, the platform fails and the sidecar is killed. In the end each org
has paid what its calls have cost: to the unit where no answer was cut and nothing was killed, and
elsewhere within what docs/usage.md allows.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from signal import SIGKILL, SIGTERM
from typing import Any, Final

import uvloop

from sidecar.admission.journal_file import JournalFile
from tests.e2e.harness import Page, eventually, policy, scrape
from tests.e2e.programs import ProcessStack, SidecarProgram, process_stack
from tests.soak.settled_books import PER, Settled, row_of
from tests.soak.settled_load import (
    DEPOSITS,
    EXACT,
    KILLED,
    ROUGH,
    SHARED,
    Book,
    Clients,
    Load,
    RawClients,
)
from tests.soak.settled_plans import Shape
from tests.soak.settled_product import SettledProduct
from tests.soak.settled_sdks import SdkClients

CLIENTS: Final[Mapping[str, Callable[[Book, Callable[[str], str]], Clients]]] = {
    "raw": RawClients,
    "sdk": SdkClients,
}
LIMIT: Final = 10**9
_REST_SECONDS: Final = 0.2

_STORE_DOWN: Final[dict[str, Any]] = {"store_down": True}
FAULTS: Final[tuple[dict[str, Any], ...]] = (
    _STORE_DOWN,
    {"status": 500, "error_rate": 0.5},
    {"status": 500},
    {"drop_after_commit": True, "error_rate": 0.5},
    {"hang": True, "error_rate": 0.3},
    {"malformed": "half", "error_rate": 0.3},
    {"latency_ms": 20},
    {},
)
"""In this order: after an outage of its platform, a sidecar waits for up to 30 s."""

_WITH_KILLS: Final = [faults for faults in FAULTS if faults is not _STORE_DOWN]
_PATHS: Final = {**{shape: shape.path for shape in Shape}, Shape.GEMINI: "/*/models/*"}
_MOST: Final = {
    Shape.OPENAI: ["/max_completion_tokens", "/max_tokens"],
    Shape.RESPONSES: "/max_output_tokens",
    Shape.ANTHROPIC: "/max_tokens",
    Shape.GEMINI: "/generationConfig/maxOutputTokens",
}


def _route(shape: Shape) -> dict[str, Any]:
    usage = {
        "format": shape.usage_format,
        "per": PER,
        "weights": {"input": 1, "cached": 0.1, "output": 3},
        "hold": {"json": _MOST[shape], "default": 100, "max": 1000},
    }
    if shape is Shape.OPENAI:
        usage["request_usage"] = True
    return {
        "name": shape.value,
        "match": {"path": _PATHS[shape], "methods": ["POST"]},
        "meter": {"amount": DEPOSITS[shape], "usage": usage},
    }


POLICY: Final = policy(
    defaults={
        "platform_timeout": "250ms",
        "fail_open_budget": {"units": 10**7, "seconds": 86_400},
    },
    routes=[_route(shape) for shape in Shape],
)
_WRONG_EVENTS: Final = frozenset({"fault", "task_failed", "journal_damaged", "journal_dropped"})


async def settled(calls: int, kills: int, number: int, clients: str = "raw") -> Settled:
    """Make so many calls, half of them beside `kills` kills; `number` seeds every choice."""
    random.seed(number)
    found = Settled()
    book = Book(found, calls)
    limits = dict.fromkeys(book.orgs, LIMIT)
    async with (
        SettledProduct() as product,
        process_stack(policy=POLICY, orgs=limits, upstream_url=product.url) as s,
        CLIENTS[clients](book, lambda org: s.token(org, ttl=86_400)) as callers,
    ):
        await s.program.close()
        run = _Run(s, callers, book, product, found)
        await run.steadily(calls // 2)
        await run.through_kills(calls - calls // 2, kills)
        run.balance()
    return found


class _Run:
    """A platform and a product, and one sidecar after another between them."""

    def __init__(
        self,
        s: ProcessStack,
        callers: Clients,
        book: Book,
        product: SettledProduct,
        found: Settled,
    ) -> None:
        self._s = s
        self._callers = callers
        self._load = Load(callers)
        self._book = book
        self._product = product
        self._found = found
        self._journal = s.place.policy_file.with_name("journal")
        self._in_hand: Counter[str] = Counter()

    async def steadily(self, calls: int) -> None:
        """Make calls while the platform fails in turns; stop as Kubernetes does."""
        load, found = self._load, self._found
        async with self._sidecar() as program:
            for org in (EXACT, ROUGH):  # known to have a limit, before it is denied
                await self._callers.call(org)
            running = asyncio.create_task(load.run((EXACT, ROUGH), calls))
            for n, faults in enumerate(FAULTS):
                await self._s.fault(**faults)
                await load.reached((n + 1) / len(FAULTS) * calls, running)
            await running
            page = await self._stop(program)
        found.missing.update(
            {cause: int(n) for cause, n in page.by("usage_missing_total", "cause").items()}
        )
        found.mute = self._book.mute(self._product.executions)
        if found.missing["absent"] < found.mute:
            found.wrong.append(f"{found.mute} streams were mute, {found.missing} counted")
        self._count_credits((EXACT, ROUGH))  # a later kill loses them

    async def through_kills(self, calls: int, kills: int) -> None:
        """Kill the sidecar while calls go on; clients may make them again at the next."""
        begun = self._load.begun
        running = asyncio.create_task(self._load.run((KILLED,), calls))
        for n in range(kills):
            async with self._sidecar() as program:
                await self._s.fault(**random.choice(_WITH_KILLS))
                target = begun + (n + random.uniform(0.2, 0.9)) * calls / kills
                await self._load.reached(target, running)
                self._load.pause()
                program.send(SIGKILL)
                at = time.monotonic()
                await program.ended()
                self._book.killed(at)
                self._found.kills += 1
                self._check_log(program)
                await self._s.fault()
        async with self._sidecar() as program:
            await running
            page = await self._stop(program)
        self._found.missing["restart"] += int(page.sum("usage_missing_total", cause="restart"))
        self._count_credits((KILLED,))

    @asynccontextmanager
    async def _sidecar(self) -> AsyncIterator[SidecarProgram]:
        """Start a sidecar on the journal of the last one, and lead calls to it."""
        program = await self._s.restart(journal=self._journal)
        try:
            self._load.turn_to(program.url)
            yield program
        finally:
            self._load.pause()
            await program.close()

    async def _stop(self, program: SidecarProgram) -> Page:
        """Let the sidecar come to rest, and end it as Kubernetes does; return its last metrics."""
        await self._s.fault()
        page = await _rest(program, self._found)
        program.send(SIGTERM)
        if status := await program.ended(30.0):
            self._found.wrong.append(f"a sidecar ended with {status}")
        self._check_log(program)
        return page

    def _check_log(self, program: SidecarProgram) -> None:
        self._found.wrong += [str(line) for line in program.log if line["event"] in _WRONG_EVENTS]

    def _count_credits(self, kinds: tuple[str, ...]) -> None:
        """Read what a sidecar that has stopped keeps for these orgs, and that it owes nothing."""
        with JournalFile(self._journal) as file:
            self._found.wrong += [f"the journal still holds {each}" for each in file.entries()]
            for kept in file.kept:
                if kept.org_id.startswith(kinds):
                    self._in_hand[kept.org_id] += kept.units

    def balance(self) -> None:
        """Lay the platform's book of each org beside the product's."""
        found, executions = self._found, self._product.executions
        consumes: defaultdict[str, list[tuple[str | None, int]]] = defaultdict(list)
        for each in self._s.platform.consumes():
            consumes[each.org_id].append((each.key, each.amount))
        for org, calls in self._book.calls.items():
            kills = min(found.kills, len(calls) - 1) if org.startswith(KILLED) else 0
            row = row_of(org, calls, executions, consumes[org], self._in_hand[org], kills=kills)
            found.rows.append(row)
            for name in ("free", "double"):
                if units := getattr(row, name):
                    of = (
                        "" if org in SHARED else [(c, executions.get(c.plan.marker)) for c in calls]
                    )
                    found.wrong.append(f"{org}: {units} units {name}: {row} {of}")
        found.wrong += [
            f"{call.plan} was answered with {call.status}"
            for call in self._book.calls[EXACT]
            if call.status not in {200, 503}
        ]
        found.wrong += [
            f"{marker} was executed {execution.times} times"
            for marker, execution in executions.items()
            if execution.times > 1
        ]


async def _rest(program: SidecarProgram, found: Settled) -> Page:
    """Wait until nothing is under way, owed or held."""

    async def read() -> Page:
        await asyncio.sleep(_REST_SECONDS)  # the platform, which is in this process, has to answer
        return await scrape(program.admin_url)

    names = ("inflight_requests", "journal_pending_units", "held_units")
    try:
        page = await eventually(read, lambda p: not any(p.sum(n) for n in names), seconds=300.0)
    except AssertionError:
        page = await read()
        found.wrong.append(f"not at rest: { {name: page.sum(name) for name in names} }")
    for name in ("journal_dropped_units_total", "journal_damaged_bytes", "journal_unwritable"):
        if page.sum(name):
            found.wrong.append(f"{name} is {page.sum(name)}")
    return page


def main() -> int:
    """Run, and print the books; status 1 where they do not agree."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.settled", description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--clients", choices=sorted(CLIENTS), default="raw")
    parser.add_argument("--number", type=int, help="repeats the choices of an earlier run")
    args = parser.parse_args()
    number = random.randrange(1 << 32) if args.number is None else args.number
    print(f"run {number}: {args.calls} {args.clients} calls, {args.kills} kills", flush=True)
    found = uvloop.run(settled(args.calls, args.kills, number, args.clients))
    print(", ".join(f"{count} {status}" for status, count in sorted(found.statuses.items())))
    print(f"raised: {dict(found.errors)}")
    print(f"missing: {dict(found.missing)}, {found.mute} mute streams\n\n{found.table()}\n")
    for wrong in found.wrong[:50]:
        print(f"WRONG: {wrong}")
    print("the books do not agree" if found.wrong else "the books agree")
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
