"""`python -m tests.soak.kill_storm --kills N`: SIGKILL under load, again and again; then the books.

A sidecar with a journal is killed at random moments and restarted, while the platform and the
product fail. Nothing that was executed may end uncounted, and nothing may be counted twice. What
kills lose (counted, not executed) is reported, and bounded.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any, Final

import uvloop

from sidecar.admission.journal_file import JournalFile
from sidecar.admission.leases import HELD_PART, LEAST_HELD
from tests.e2e.harness import CHAT, eventually, policy, scrape, soon
from tests.e2e.programs import ProcessStack, SidecarProgram, process_stack
from tests.e2e.raw_client import Answer, RawClient, post
from tests.fakes.obedient_product import Act, ObedientProduct

LEASED: Final = "/api/v1/leased"
CALLERS: Final = 8
LOAD_SECONDS: Final = (0.05, 0.4)
WORKER_KILLS: Final = 4
"""At most so many workers are killed before their parent is."""

KINDS: Final = {
    "org_exact": (1_000_000, (CHAT,)),
    "org_lease": (500_000, (LEASED,)),
    "org_mixed": (200_000, (CHAT, LEASED)),
    "org_free": (-1, (CHAT,)),
    "org_tight": (1_500, (CHAT,)),
    "org_tight_lease": (1_500, (LEASED,)),
}
FAULTS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {},
    {"status": 500, "error_rate": 0.5},
    {"status": 500},
    {"drop_after_commit": True, "error_rate": 0.5},
    {"hang": True, "error_rate": 0.5},
    {"hang": True},
    {"latency_ms": 40},
    {"latency_ms": 400},
    {"malformed": "half", "error_rate": 0.3},
    {"malformed": "html", "error_rate": 0.5},
    {"malformed": "wrong_types"},
)
ACTS: Final = (*[Act.OK] * 12, Act.CHUNKED, Act.ERROR, Act.RESET, Act.CLOSE, Act.CUT)
POLICY: Final = policy(
    defaults={
        "platform_timeout": "200ms",
        "fail_open_budget": {"units": 10**6, "seconds": 86_400},
    },
    routes=[{"name": "leased", "match": {"path": LEASED}, "meter": {"accuracy": "lease"}}],
)
_DENIALS: Final = frozenset({401, 403, 429, 503})
_WRONG_EVENTS: Final = frozenset({"fault", "task_failed", "journal_damaged", "journal_dropped"})


@dataclass(frozen=True, slots=True)
class Row:
    """The books of one org, in units; `unreached` are calls that the product never got."""

    org: str
    limit: int
    begun: int
    executed: int
    charged: int
    repeated: int
    unreached: int
    bound: int

    @property
    def refused(self) -> int:
        """Executed in an outage, and refused in the report since the limit had been reached."""
        return max(0, self.executed - self.charged) if self.charged == self.limit else 0

    @property
    def free(self) -> int:
        """Executed, and neither counted nor refused."""
        return max(0, self.executed - self.charged - self.refused)

    @property
    def double(self) -> int:
        """Keys counted twice, and charges beyond what calls and lost leases explain."""
        return self.repeated + max(0, self.charged - self.begun - self.bound)

    @property
    def lost(self) -> int:
        """Charged, and not executed."""
        return max(0, self.charged - self.executed)


@dataclass
class Storm:
    """What a storm did, and what it found; `wrong` is empty where all is well."""

    kills: Counter[str] = field(default_factory=Counter)
    replicas: int = 0
    """Processes with books of their own that were killed."""
    closings: int = 0
    """How often the product stopped listening: what waited there is lost."""
    answers: Counter[str] = field(default_factory=Counter)
    rows: list[Row] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def table(self) -> str:
        """Write the books."""
        names = ("org", "limit", "begun", "executed", "charged", "refused", "free", "double",
                 "lost", "unreached", "bound")  # fmt: skip
        lines = [names, *(tuple(str(getattr(row, name)) for name in names) for row in self.rows)]
        widths = [max(len(line[at]) for line in lines) for at in range(len(names))]
        return "\n".join(
            "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
            for line in lines
        )


class Load:
    """Callers of all orgs; they connect again until they are stopped."""

    def __init__(self, tokens: dict[str, str], product: ObedientProduct, storm: Storm) -> None:
        self._tokens = tokens
        self._product = product
        self._storm = storm
        self._serial = itertools.count()
        self.begun: Counter[str] = Counter()
        self.unreached: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def on(self, url: str) -> AsyncIterator[None]:
        """Call while the block lasts."""
        ended = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(self._call_until(ended, url))
            try:
                yield
            finally:
                ended.set()

    async def _call_until(self, ended: asyncio.Event, url: str) -> None:
        while not ended.is_set():
            with contextlib.suppress(OSError, EOFError):
                async with RawClient(url) as client:
                    while not ended.is_set():
                        await self._call(client)
            await asyncio.sleep(0.01)

    async def _call(self, client: RawClient) -> None:
        org = random.choice(sorted(KINDS))
        path = random.choice(KINDS[org][1])
        act = random.choice(ACTS)
        marker = f"m{next(self._serial)}"
        self.begun[org] += 1
        request = post(path, self._tokens[org], x_act=act.value, x_marker=marker)
        try:
            answer = await client.send(request)
        except KeyError:  # an answer in chunks, which the plain client does not read
            return
        self._storm.answers[f"{answer.status} {answer.mark}".strip()] += 1
        self._check(org, marker, answer)

    def _check(self, org: str, marker: str, answer: Answer) -> None:
        executed = marker in self._product.markers
        if answer.status == 200 and not executed:
            self._storm.wrong.append(f"{marker} was answered and never executed")
        if answer.status in _DENIALS and executed:
            self._storm.wrong.append(f"{marker}: {answer.status}, yet executed: {answer.body!r}")
        if answer.status in {502, 504} and not executed:
            self.unreached[org] += 1


async def storm(
    kills: int, number: int, *, workers: Sequence[int] = (1, 2), seconds: float = 86_400.0
) -> Storm:
    """Kill so many times, or as often as fits into `seconds`; `number` seeds every choice."""
    random.seed(number)
    found = Storm()
    limits = {org: limit for org, (limit, _) in KINDS.items()}
    async with (
        ObedientProduct(keep=False) as product,
        process_stack(policy=POLICY, orgs=limits, upstream_url=product.url) as s,
    ):
        await s.program.close()
        load = Load({org: s.token(org, ttl=7 * 86_400) for org in KINDS}, product, found)
        journal = s.place.policy_file.with_name("journal")
        now = asyncio.get_running_loop().time
        began = now()
        for count in itertools.cycle(workers):
            if found.kills.total() >= kills or now() > began + seconds:
                break
            program = await s.restart(under=("setsid",), journal=journal, workers=count)
            try:
                await _round(s, program, load, product, found, workers=count)
            finally:
                await program.close()
            print(f"{found.kills.total()} kills in {now() - began:.0f} s", flush=True)
        await s.fault()
        await product.listen()
        await _report_all(s, journal, found)
        await asyncio.sleep(0.5)
        _balance(s, load, product, found)
    return found


async def _round(
    s: ProcessStack,
    program: SidecarProgram,
    load: Load,
    product: ObedientProduct,
    found: Storm,
    *,
    workers: int,
) -> None:
    """Put one sidecar under load, and kill it: perhaps a worker first, in the end all of it."""
    await s.fault(**random.choice(FAULTS))
    async with load.on(program.url):
        flaky = asyncio.create_task(_flaky(product, found))
        await asyncio.sleep(random.uniform(*LOAD_SECONDS))
        for _ in range(random.randrange(WORKER_KILLS + 1) if workers > 1 else 0):
            if pids := _children(program.pid):
                os.kill(random.choice(pids), SIGKILL)
                found.kills["one worker"] += 1
                found.replicas += 1
            await asyncio.sleep(random.uniform(*LOAD_SECONDS))
        os.killpg(program.pid, SIGKILL)
        found.kills["workers and their parent" if workers > 1 else "the process"] += 1
        found.replicas += workers
        status = await program.ended()
        flaky.cancel()
        await asyncio.gather(flaky, return_exceptions=True)
    if status != -SIGKILL:
        found.wrong.append(f"a sidecar ended by itself with {status}: {program.err[-3:]}")
    found.wrong += [str(event) for event in program.log if event["event"] in _WRONG_EVENTS]


def _children(pid: int) -> list[int]:
    words = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [int(word) for word in words]


async def _flaky(product: ObedientProduct, found: Storm) -> None:
    """Have the product refuse connections for short times, in one round of three."""
    if random.random() > 0.35:
        return
    try:
        while True:
            await asyncio.sleep(random.uniform(0.0, 0.1))
            await product.stop_listening()
            product.close_idle()
            found.closings += 1
            await asyncio.sleep(random.uniform(0.02, 0.1))
            await product.listen()
    finally:
        await product.listen()


async def _report_all(s: ProcessStack, journal: Path, found: Storm) -> None:
    """Start once more, wait until all is reported, and stop as Kubernetes does."""
    last = await s.restart(journal=journal)
    try:

        async def pending() -> float:
            return (await scrape(last.admin_url)).sum("journal_pending_units")

        await eventually(pending, lambda units: units == 0, seconds=120.0)
        # A file that no process holds is found within seconds, and deleted when it is reported.
        await soon(lambda: _others(journal), lambda sizes: not sum(sizes), seconds=30.0)
        await eventually(pending, lambda units: units == 0, seconds=120.0)
        page = await scrape(last.admin_url)
        for name in ("journal_dropped_units_total", "journal_damaged_bytes", "journal_unwritable"):
            if page.sum(name):
                found.wrong.append(f"{name} is {page.sum(name)}")
        last.send(SIGTERM)
        if status := await last.ended(30.0):
            found.wrong.append(f"the last sidecar ended with {status}")
        found.wrong += [str(event) for event in last.log if event["event"] in _WRONG_EVENTS]
    finally:
        await last.close()
    for path in journal.parent.glob("journal*"):
        with JournalFile(path) as file:
            if file.entries():
                found.wrong.append(f"{path.name} still holds {len(file.entries())} entries")


def _others(journal: Path) -> list[int]:
    """Return the sizes of the files that other processes left."""
    paths = set(journal.parent.glob("journal*")) - {journal}
    return [path.stat().st_size for path in paths if path.exists()]


def _balance(s: ProcessStack, load: Load, product: ObedientProduct, found: Storm) -> None:
    for org, (limit, paths) in KINDS.items():
        consumes = s.platform.consumes(org)
        keys = Counter(each.key for each in consumes)
        held = max(limit // HELD_PART, LEAST_HELD) if LEASED in paths else 0
        unreached = load.unreached[org]
        row = Row(
            org=org,
            limit=limit,
            begun=load.begun[org],
            executed=product.executions[org],
            charged=sum(each.amount for each in consumes),
            repeated=sum(count - 1 for count in keys.values()),
            unreached=unreached,
            bound=found.replicas * held,
        )
        found.rows.append(row)
        allowed = row.bound + unreached + CALLERS * (found.kills.total() + found.closings)
        for name in ("free", "double"):
            if units := getattr(row, name):
                found.wrong.append(f"{org}: {units} units {name}")
        if row.lost > allowed:
            found.wrong.append(f"{org}: {row.lost} units lost, {allowed} are explained")
        if 0 <= limit < row.charged:
            found.wrong.append(f"{org}: {row.charged} charged, beyond the limit")
    found.wrong += [f"{marker} was executed twice" for marker in product.twice]


def main() -> int:
    """Kill, and report; status 1 where the books do not agree."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.kill_storm", description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=86_400.0, help="end after that time")
    parser.add_argument("--number", type=int, help="repeats the choices of an earlier storm")
    args = parser.parse_args()
    number = random.randrange(1 << 32) if args.number is None else args.number
    print(f"storm {number}: {args.kills} kills", flush=True)
    found = uvloop.run(storm(args.kills, number, seconds=args.seconds))
    for title, counts in (("kills", found.kills), ("answers", found.answers)):
        print(f"{title}: " + ", ".join(f"{counts[each]} {each}" for each in sorted(counts)))
    print(f"the product stopped listening {found.closings} times\n\n{found.table()}\n")
    for wrong in found.wrong:
        print(f"WRONG: {wrong}")
    print("the books do not agree" if found.wrong else "the books agree")
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
