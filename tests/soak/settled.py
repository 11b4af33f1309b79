"""`python -m tests.soak.settled --calls N`: calls that are settled by usage, under every trouble.

Three dialects, whole and streamed, a quarter of the streams without usage, while clients leave at
random bytes, the product fails, the platform fails and the sidecar is killed. In the end each org
has paid what its calls have cost: to the unit where no answer was cut and nothing was killed, and
elsewhere within what docs/usage.md allows.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import itertools
import random
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any, Final

import orjson
import uvloop

from sidecar.admission.journal_file import JournalFile
from tests.e2e.harness import Page, eventually, policy, scrape, soon
from tests.e2e.programs import ProcessStack, SidecarProgram, process_stack
from tests.e2e.raw_client import post
from tests.soak.settled_books import PER, Sent, Settled, row_of
from tests.soak.settled_product import Ending, Plan, SettledProduct, Shape

EXACT: Final = "org_exact"
ROUGH: Final = "org_rough"
KILLED: Final = "org_killed"
CALLERS: Final = 12
SILENT_SECONDS: Final = 20.0
UNSETTLED_SECONDS: Final = 0.3
"""A call whose answer ended longer than that before a kill has been settled."""

FAULTS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"status": 500, "error_rate": 0.5},
    {"status": 500},
    {"drop_after_commit": True, "error_rate": 0.5},
    {"hang": True, "error_rate": 0.3},
    {"latency_ms": 20},
    {"malformed": "half", "error_rate": 0.3},
    {"store_down": True},
)
_DEPOSITS: Final = {Shape.OPENAI: 1, Shape.ANTHROPIC: 2, Shape.GEMINI: 5}
_PATHS: Final = {
    Shape.OPENAI: "/v1/chat/completions",
    Shape.ANTHROPIC: "/v1/messages",
    Shape.GEMINI: "/v1beta/models/m:generateContent",
}
_HOLD: Final = {"json": "/max_tokens", "default": 100, "max": 1000}


def _route(shape: Shape) -> dict[str, Any]:
    usage = {
        "format": shape.value,
        "per": PER,
        "weights": {"input": 1, "cached": 0.1, "output": 3},
        "hold": _HOLD,
        "request_usage": shape is Shape.OPENAI,
    }
    if shape is not Shape.OPENAI:
        del usage["request_usage"]
    return {
        "name": shape.value,
        "match": {"path": _PATHS[shape], "methods": ["POST"]},
        "meter": {"amount": _DEPOSITS[shape], "usage": usage},
    }


POLICY: Final = policy(
    defaults={
        "platform_timeout": "250ms",
        "fail_open_budget": {"units": 10**7, "seconds": 86_400},
    },
    routes=[_route(shape) for shape in Shape],
)
_WRONG_EVENTS: Final = frozenset({"fault", "task_failed", "journal_damaged", "journal_dropped"})


class Load:
    """Makes planned calls, and remembers each."""

    def __init__(self, s: ProcessStack, found: Settled) -> None:
        self.calls: defaultdict[str, list[Sent]] = defaultdict(list)
        self._tokens = {org: s.token(org, ttl=86_400) for org in (EXACT, ROUGH, KILLED)}
        self._found = found
        self._serial = itertools.count()

    async def run(self, url: str, orgs: tuple[str, ...], calls: int) -> None:
        """Make so many calls, some at a time."""
        left = iter(range(calls))
        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(self._caller(url, orgs, left))

    async def _caller(self, url: str, orgs: tuple[str, ...], left: Any) -> None:
        for _ in left:
            if not await self.call(url, random.choice(orgs)):
                return

    async def call(self, url: str, org: str) -> bool:
        """Make one call; it may be given up at a random byte. False where nothing listens."""
        plan = self._plan(org)
        words = "ask " * random.randrange(1, 60)
        body = {"model": "m", "stream": plan.stream, "max_tokens": 120, "note": words}
        call = Sent(plan, len("m") + len(words), _DEPOSITS[plan.shape], loses=org == KILLED)
        self.calls[org].append(call)
        request = post(
            _PATHS[plan.shape],
            self._tokens[org],
            orjson.dumps(body),
            x_plan=orjson.dumps(dataclasses.asdict(plan)).decode(),
            connection="close",
        )
        call.left = org != EXACT and random.random() < 0.3
        try:
            async with asyncio.timeout(SILENT_SECONDS):
                await self._exchange(url, request, call)
        except ConnectionRefusedError:
            return False  # its call is among the killed ones, and costs nothing
        except (OSError, EOFError):
            self._found.statuses[f"{org} broken"] += 1
        else:
            self._found.statuses[f"{org} {call.status or 'left'}"] += 1
            call.ended_at = time.monotonic()
        return True

    def killed(self, at: float) -> None:
        """Note which calls the kill at `at` may have met before they were settled."""
        for call in self.calls[KILLED]:
            if not call.killed and not call.seen_out:
                call.killed = call.ended_at > at - UNSETTLED_SECONDS
                call.seen_out = True

    async def _exchange(self, url: str, request: bytes, call: Sent) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(request)
            if call.left and random.random() < 0.3:
                await asyncio.sleep(random.random() * 0.01)
                return
            most = random.randrange(1, 1500) if call.left else 1 << 20
            answer = b""
            while len(answer) < most and (data := await reader.read(most - len(answer))):
                answer += data
            if answer[9:12].isdigit():
                call.status = int(answer[9:12])
        finally:
            writer.transport.abort()

    def _plan(self, org: str) -> Plan:
        stream = random.random() < 0.6
        chance = random.random()
        ending = Ending.WHOLE
        if stream and chance < 0.25:
            ending = Ending.MUTE
        elif chance > 0.92:
            ending = Ending.ERROR
        elif org != EXACT and chance > 0.75:
            ending = random.choice((Ending.CUT, Ending.RESET))
        return Plan(
            marker=f"c{next(self._serial)}",
            shape=random.choice(tuple(Shape)),
            stream=stream,
            ending=ending,
            input=random.randrange(200),
            cached=random.randrange(100),
            output=random.randrange(1, 120),
            words=random.randrange(1, 80),
        )


async def settled(calls: int, kills: int, number: int) -> Settled:
    """Make so many calls, half of them beside `kills` kills; `number` seeds every choice."""
    random.seed(number)
    found = Settled()
    limits = {EXACT: 10**9, ROUGH: 10**9, KILLED: 10**9}
    async with (
        SettledProduct() as product,
        process_stack(policy=POLICY, orgs=limits, upstream_url=product.url) as s,
    ):
        await s.program.close()
        load = Load(s, found)
        journal = s.place.policy_file.with_name("journal")
        await _steady(s, load, calls // 2, journal, found)
        in_hand = _credits(journal, found, EXACT, ROUGH)  # a later kill loses them
        for _ in range(kills):
            await _killed(s, load, max(1, (calls - calls // 2) // kills), journal, found)
        await s.fault()
        await _end(s, journal, found)
        in_hand.update(_credits(journal, found, KILLED))
        _balance(s, load, product, in_hand, found)
    return found


async def _steady(s: ProcessStack, load: Load, calls: int, journal: Path, found: Settled) -> None:
    """Make calls while the platform fails in turns; stop as Kubernetes does."""
    program = await s.restart(journal=journal)
    try:
        for org in (EXACT, ROUGH):  # known to have a limit, before it is denied
            await load.call(program.url, org)
        for faults in FAULTS:
            await s.fault(**faults)
            await load.run(program.url, (EXACT, ROUGH), calls // len(FAULTS))
        await s.fault()
        page = await _rest(program, found)
        found.missing.update(
            {cause: int(n) for cause, n in page.by("usage_missing_total", "cause").items()}
        )
        await _stop(program, found)
    finally:
        await program.close()


async def _killed(s: ProcessStack, load: Load, calls: int, journal: Path, found: Settled) -> None:
    """Kill the sidecar somewhere in the middle of so many calls."""
    program = await s.restart(journal=journal)
    try:
        await s.fault(**random.choice(FAULTS[:-1]))
        running = asyncio.create_task(load.run(program.url, (KILLED,), calls))
        target = len(load.calls[KILLED]) + int(calls * random.uniform(0.5, 0.9))
        await soon(lambda: len(load.calls[KILLED]), lambda made: made >= target, seconds=120.0)
        program.send(SIGKILL)
        at = time.monotonic()
        await program.ended()
        await running
        load.killed(at)
        found.kills += 1
        _check_log(program, found)
    finally:
        await program.close()


async def _end(s: ProcessStack, journal: Path, found: Settled) -> None:
    program = await s.restart(journal=journal)
    try:
        page = await _rest(program, found)
        if restarted := page.sum("usage_missing_total", cause="restart"):
            found.missing["restart"] += int(restarted)
        await _stop(program, found)
    finally:
        await program.close()


async def _rest(program: SidecarProgram, found: Settled) -> Page:
    """Wait until nothing is under way, owed or held."""

    async def read() -> Page:
        return await scrape(program.admin_url)

    names = ("inflight_requests", "journal_pending_units", "held_units")
    try:
        page = await eventually(read, lambda p: not any(p.sum(n) for n in names), seconds=90.0)
    except AssertionError:
        page = await read()
        found.wrong.append(f"not at rest: { {name: page.sum(name) for name in names} }")
    for name in ("journal_dropped_units_total", "journal_damaged_bytes", "journal_unwritable"):
        if page.sum(name):
            found.wrong.append(f"{name} is {page.sum(name)}")
    return page


async def _stop(program: SidecarProgram, found: Settled) -> None:
    program.send(SIGTERM)
    if status := await program.ended(30.0):
        found.wrong.append(f"a sidecar ended with {status}")
    _check_log(program, found)


def _check_log(program: SidecarProgram, found: Settled) -> None:
    found.wrong += [str(event) for event in program.log if event["event"] in _WRONG_EVENTS]


def _credits(journal: Path, found: Settled, *orgs: str) -> Counter[str]:
    """Read what a sidecar that has stopped keeps for these orgs, and that it owes nothing."""
    in_hand: Counter[str] = Counter()
    with JournalFile(journal) as file:
        found.wrong += [f"the journal still holds {entry}" for entry in file.entries()]
        for kept in file.kept:
            if kept.lot.org_id in orgs:
                in_hand[kept.lot.org_id] += kept.lot.units
    return in_hand


def _balance(
    s: ProcessStack, load: Load, product: SettledProduct, in_hand: Counter[str], found: Settled
) -> None:
    for org in (EXACT, ROUGH, KILLED):
        consumes = [(each.key, each.amount) for each in s.platform.consumes(org)]
        kills = found.kills if org == KILLED else 0
        row = row_of(org, load.calls[org], product.executions, consumes, in_hand[org], kills=kills)
        found.rows.append(row)
        for name in ("free", "double"):
            if units := getattr(row, name):
                found.wrong.append(f"{org}: {units} units {name}")
    for call in load.calls[EXACT]:
        if call.status not in {200, 503}:
            found.wrong.append(f"{call.plan} was answered with {call.status}")
    found.mute = sum(
        call.plan.ending is Ending.MUTE and call.plan.marker in product.executions
        for call in load.calls[EXACT]
    )
    if found.missing["absent"] < found.mute:
        found.wrong.append(f"{found.mute} streams were mute, {found.missing} counted")
    found.wrong += [
        f"{marker} was executed {execution.times} times"
        for marker, execution in product.executions.items()
        if execution.times > 1
    ]


def main() -> int:
    """Run, and print the books; status 1 where they do not agree."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.settled", description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--number", type=int, help="repeats the choices of an earlier run")
    args = parser.parse_args()
    number = random.randrange(1 << 32) if args.number is None else args.number
    print(f"run {number}: {args.calls} calls, {args.kills} kills", flush=True)
    found = uvloop.run(settled(args.calls, args.kills, number))
    print(", ".join(f"{count} {status}" for status, count in sorted(found.statuses.items())))
    print(f"missing: {dict(found.missing)}, {found.mute} mute streams\n\n{found.table()}\n")
    for wrong in found.wrong[:50]:
        print(f"WRONG: {wrong}")
    print("the books do not agree" if found.wrong else "the books agree")
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
