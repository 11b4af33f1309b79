"""`python -m tests.soak.doors DOOR --calls N`: one product behind a door, and its books by org.

Half of the calls are charged by units, half by usage in three dialects where the door sees answers;
of some the handler names the cost. In the middle the platform fails for a second. In a few orgs
clients leave at random bytes. In the end each org has paid what its executions cost: to the unit
where no client left, and elsewhere within what docs/usage.md allows.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import itertools
import math
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import orjson
import uvloop

from sidecar.admission.journal_file import JournalFile
from tests.doors.planned import FORWARD_AUTH, OVER_GRPC, SEE_ANSWERS, Planned, planned
from tests.doors.products.notes import PATH_OF, UNIT_PATH
from tests.e2e.harness import policy
from tests.e2e.raw_client import post
from tests.soak.settled_books import PER, Cost, Sent, cost_of
from tests.soak.settled_plans import Ending, Plan, Shape
from tests.soak.settled_product import Execution

DOORS: Final = (*SEE_ANSWERS, *FORWARD_AUTH, *OVER_GRPC)
CALLERS: Final = 12
FAILS_SECONDS: Final = 1.0
SILENT_SECONDS: Final = 20.0
UNITS: Final = 2
"""What a call without usage costs."""

LIMIT: Final = 10**9


def policy_at(door: str) -> str:
    """Return the policy of a door."""
    routes: list[dict[str, Any]] = [
        {"name": "unit", "match": {"path": UNIT_PATH}, "meter": {"amount": UNITS}},
    ]
    if door in SEE_ANSWERS:
        routes += [_settled_route(shape) for shape in Shape]
    budget = {"units": 10**7, "seconds": 86_400}
    return policy(defaults={"fail_open_budget": budget}, routes=routes)


def _settled_route(shape: Shape) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "format": shape.usage_format,
        "per": PER,
        "weights": {"input": 1, "cached": 0.1, "output": 3},
        "hold": {"json": "/max_tokens", "default": 100, "max": 1000},
    }
    if shape is Shape.OPENAI:
        usage["request_usage"] = True
    return {
        "name": shape.value,
        "match": {"path": PATH_OF[shape], "methods": ["POST"]},
        "meter": {"usage": usage},
    }


@dataclass(slots=True)
class Made:
    """One call: `settled` by usage, or by the cost `named` that its handler names, or neither."""

    sent: Sent
    settled: bool
    named: int | None
    failed_open: bool = False

    def cost(self, execution: Execution | None) -> Cost:
        """Say what it may have cost."""
        sent = self.sent
        if self.named is not None and execution is not None:
            return Cost(Fraction(self.named), Fraction(self.named))
        if self.settled:
            return cost_of(sent, execution)
        least = 0 if execution is None else UNITS
        # A door that does not see answers keeps the charge of a client that left before its call
        # was forwarded; what a middleware admits has reached the product.
        return Cost(Fraction(least), Fraction(UNITS if sent.left else least))


@dataclass
class Row:
    """The books of one org in units."""

    org: str
    least: int
    most: int
    charged: int
    credits: int
    repeated: int

    @property
    def wrong(self) -> str:
        """Why they do not agree; empty where they do."""
        net = self.charged - self.credits
        if self.least <= net <= self.most and not self.repeated:
            return ""
        return f"{self.org}: {net} paid for {self.least} to {self.most}, {self.repeated} repeated"


@dataclass
class DoorBooks:
    """What a run did, and what it found; `wrong` is empty where all is well."""

    rows: list[Row] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    executed: int = 0
    failed_open: int = 0
    reported: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """Write the books, all orgs together."""
        least, most = (sum(getattr(row, name) for row in self.rows) for name in ("least", "most"))
        paid = sum(row.charged - row.credits for row in self.rows)
        exact = sum(row.least == row.most for row in self.rows)
        return (
            f"{sum(self.statuses.values())} calls, {self.executed} executed, {self.failed_open} "
            f"failed open, {self.reported} units of the journal reported, {self.seconds:.0f} s\n"
            f"{len(self.rows)} orgs ({exact} to the unit): cost {least} to {most}, paid {paid}"
        )


class Load:
    """Makes calls, and remembers each by its org."""

    def __init__(self, p: Planned, door: str, orgs: list[str], found: DoorBooks) -> None:
        self.calls: defaultdict[str, list[Made]] = defaultdict(list)
        self.plans: dict[str, Plan] = {}
        self._door = door
        self._orgs = orgs
        self._leave = frozenset(orgs[: max(1, len(orgs) // 10)])
        self._tokens = {org: p.platform.mint_token(org, ttl=86_400) for org in orgs}
        self._url = p.url
        self._found = found
        self._serial = itertools.count()
        self._half = 0
        self.half_way = asyncio.Event()

    async def run(self, calls: int) -> None:
        """Make so many calls, some at a time."""
        left = iter(range(calls))
        self._half = calls // 2
        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(self._caller(left))

    async def _caller(self, left: Any) -> None:
        for number in left:
            if number >= self._half:
                self.half_way.set()
            await self.call(self._orgs[number % len(self._orgs)])

    async def call(self, org: str) -> None:
        """Make one call; its client may leave at a random byte."""
        settled = self._door in SEE_ANSWERS and random.random() < 0.5
        plan = self._plan(org)
        words = "ask " * random.randrange(1, 60)
        body = {"model": "m", "stream": plan.stream, "max_tokens": 120, "note": words}
        fields = {"x_plan": orjson.dumps(dataclasses.asdict(plan)).decode(), "connection": "close"}
        named = None
        if self._door in {"asgi", "aiohttp"} and random.random() < 0.2:
            named = random.randrange(40)
            fields["x_settle"] = str(named)
        deposit = 1 if settled else UNITS
        made = Made(Sent(plan, len("m") + len(words), deposit, loses=False), settled, named)
        self.calls[org].append(made)
        made.sent.left = org in self._leave and random.random() < 0.3
        path = PATH_OF[plan.shape] if settled else UNIT_PATH
        request = post(path, self._tokens[org], orjson.dumps(body), **fields)
        try:
            async with asyncio.timeout(SILENT_SECONDS):
                await self._exchange(request, made)
        except (OSError, EOFError) as error:
            self._found.statuses[type(error).__name__] += 1
        else:
            self._found.statuses[str(made.sent.status or "left")] += 1

    async def _exchange(self, request: bytes, made: Made) -> None:
        host, _, port = self._url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        sent = made.sent
        try:
            writer.write(request)
            if sent.left and random.random() < 0.3:
                await asyncio.sleep(random.random() * 0.01)
                return
            most = random.randrange(1, 1500) if sent.left else 1 << 20
            answer = b""
            while len(answer) < most and (data := await reader.read(most - len(answer))):
                answer += data
            if answer[9:12].isdigit():
                sent.status = int(answer[9:12])
            made.failed_open = b"fail_open" in answer.partition(b"\r\n\r\n")[0]
        finally:
            writer.transport.abort()

    def _plan(self, org: str) -> Plan:
        chance = random.random()
        ending = Ending.ERROR if chance > 0.95 else Ending.WHOLE
        if chance < 0.15:
            ending = Ending.MUTE
        plan = Plan(
            marker=f"c{next(self._serial)}",
            shape=random.choice(tuple(Shape)),
            stream=random.random() < 0.6,
            ending=ending,
            input=random.randrange(200),
            cached=random.randrange(100),
            output=random.randrange(1, 120),
            words=random.randrange(1, 80),
        )
        if self._door in {"proxy", "asgi", "aiohttp"} and org in self._leave and chance > 0.9:
            plan = replace(plan, stream=True, ending=Ending.CUT)
        self.plans[plan.marker] = plan
        return plan


async def at_door(door: str, calls: int, orgs: int, number: int) -> DoorBooks:
    """Make so many calls through a door; `number` seeds every choice."""
    random.seed(number)
    found = DoorBooks()
    names = [f"org_{index}" for index in range(orgs)]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bb-doors-") as name:
        folder = Path(name)
        limits = dict.fromkeys(names, LIMIT)
        async with planned(door, policy_at(door), limits, folder) as p:
            load = Load(p, door, names, found)
            for org in names:  # known to have a limit, before the platform fails
                await load.call(org)
            running = asyncio.create_task(load.run(max(CALLERS, calls - orgs)))
            await load.half_way.wait()
            await p.fault(status=500)
            await asyncio.sleep(FAILS_SECONDS)
            await p.fault()
            await running
            page = await p.rest()
            found.reported = int(page.sum("journal_replayed_units_total"))
            executions = await p.notes(load.plans)
            await p.stop()
            _balance(p, load, executions, _credits(folder / "journal", found), found)
    found.seconds = time.monotonic() - began
    return found


def _credits(journal: Path, found: DoorBooks) -> Counter[str]:
    """Read what a door that has stopped keeps for each org, and that it owes nothing."""
    in_hand: Counter[str] = Counter()
    with JournalFile(journal) as file:
        found.wrong += [f"the journal still holds {entry}" for entry in file.entries()]
        for kept in file.kept:
            in_hand[kept.org_id] += kept.units
    return in_hand


def _balance(
    p: Planned,
    load: Load,
    executions: dict[str, Execution],
    in_hand: Counter[str],
    found: DoorBooks,
) -> None:
    for org, calls in load.calls.items():
        costs = [made.cost(executions.get(made.sent.plan.marker)) for made in calls]
        consumes = p.platform.consumes(org)
        keys = Counter(each.key for each in consumes)
        row = Row(
            org=org,
            least=math.floor(sum(cost.least for cost in costs)),
            most=math.floor(sum(cost.most for cost in costs)),
            charged=sum(each.amount for each in consumes),
            credits=in_hand[org],
            repeated=sum(count - 1 for count in keys.values()),
        )
        found.rows.append(row)
        found.wrong += filter(None, [row.wrong])
        found.failed_open += sum(made.failed_open for made in calls)
        found.wrong += [
            f"{made.sent.plan} of {org} was answered with {made.sent.status}"
            for made in calls
            if not made.sent.left
            and made.sent.plan.ending is not Ending.CUT
            and made.sent.status not in {200, 503}
        ]
    found.executed = len(executions)
    found.wrong += [
        f"{marker} was executed {execution.times} times"
        for marker, execution in executions.items()
        if execution.times > 1
    ]
    if not found.failed_open:
        found.wrong.append("no call has failed open: the platform was not missed")


def main() -> int:
    """Run, and print the books; status 1 where they do not agree."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.doors", description=__doc__)
    parser.add_argument("door", nargs="*", choices=[*DOORS, []], help="all of them by default")
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--orgs", type=int, default=50)
    parser.add_argument("--number", type=int, help="repeats the choices of an earlier run")
    args = parser.parse_args()
    number = random.randrange(1 << 32) if args.number is None else args.number
    wrong = 0
    for door in args.door or DOORS:
        print(f"{door}: run {number}, {args.calls} calls for {args.orgs} orgs", flush=True)
        found = uvloop.run(at_door(door, args.calls, args.orgs, number))
        print(", ".join(f"{count} {status}" for status, count in sorted(found.statuses.items())))
        print(found.summary())
        for each in found.wrong[:20]:
            print(f"WRONG: {each}")
        print("the books do not agree" if found.wrong else "the books agree", flush=True)
        wrong += len(found.wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
