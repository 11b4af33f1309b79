"""`python -m tests.soak.kill_storm --kills N`: SIGKILL under load, again and again; then the books.

A sidecar with a journal is killed at random moments and restarted, while the platform and the
product fail. Nothing that was executed may end uncounted, and nothing may be counted twice. What
kills lose (counted, not executed) is reported, and bounded.

Where the sidecar believes the request IDs, each call's key is known: there every single execution
is looked up. Elsewhere the sums are compared, since credits and leases pay for any call.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any, Final

import uvloop

from sidecar.admission.journal_file import JournalFile
from sidecar.admission.leases import HELD_PART, LEAST_HELD
from tests.e2e.harness import CHAT, LOCAL, eventually, policy, scrape, soon
from tests.e2e.programs import ProcessStack, SidecarProgram, process_stack
from tests.fakes.obedient_product import ObedientProduct
from tests.soak.storm_books import Row, Storm, by_key
from tests.soak.storm_load import AMOUNT, CALLERS, FRAGILE, KINDS, LEASED, USER, Load

LOAD_SECONDS: Final = (0.05, 0.4)
WORKER_KILLS: Final = 4
"""At most so many workers are killed before their parent is."""

UNLIMITED: Final = frozenset(org for org, kind in KINDS.items() if kind.limit < 0)
STORE_DOWN: Final[dict[str, Any]] = {"store_down": True}
"""Of an unlimited org this looks like the truth: only in the second half, when none calls."""

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
_PRICE: Final = {"amount": {"json": "/n", "default": 1, "max": AMOUNT}}
POLICY: Final = policy(
    defaults={
        "platform_timeout": "200ms",
        "fail_open_budget": {"units": 10**6, "seconds": 86_400},
    },
    routes=[
        {
            "name": "leased",
            "match": {"path": LEASED},
            "meter": {"accuracy": "lease", **_PRICE},
        },
        {
            "name": "fragile",
            "match": {"path": FRAGILE},
            "meter": {"refund": "failed", **_PRICE},
        },
        {"name": "chat", "match": {"path": CHAT}, "meter": _PRICE},
    ],
)
_WRONG_EVENTS: Final = frozenset({"fault", "task_failed", "journal_damaged", "journal_dropped"})


async def storm(
    kills: int, number: int, *, workers: Sequence[int] = (1, 2), seconds: float = 86_400.0
) -> Storm:
    """Kill so many times, or as often as fits into `seconds`; `number` seeds every choice."""
    random.seed(number)
    found = Storm()
    limits = {org: kind.limit for org, kind in KINDS.items()}
    async with (
        ObedientProduct(keep=False) as product,
        process_stack(policy=POLICY, orgs=limits, upstream_url=product.url) as s,
    ):
        await s.program.close()
        tokens = {org: s.token(org, user_id=USER, ttl=7 * 86_400) for org in KINDS}
        load = Load(tokens, product, found)
        journal = s.place.policy_file.with_name("journal")
        now = asyncio.get_running_loop().time
        began = now()
        for half, faults in ((1, FAULTS), (2, (*FAULTS, STORE_DOWN, STORE_DOWN))):
            load.orgs = [org for org in KINDS if half == 1 or org not in UNLIMITED]
            for count in itertools.cycle(workers):
                if found.kills.total() * 2 >= kills * half or now() > began + seconds * half / 2:
                    break
                await s.fault(**random.choice(faults))
                program = await s.restart(
                    under=("setsid",), journal=journal, workers=count, trusted_proxies=LOCAL
                )
                try:
                    await _round(program, load, product, found, workers=count)
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
    program: SidecarProgram,
    load: Load,
    product: ObedientProduct,
    found: Storm,
    *,
    workers: int,
) -> None:
    """Put one sidecar under load, and kill it: perhaps a worker first, in the end all of it."""
    async with load.on(program.url):
        flaky = asyncio.create_task(_flaky(product, found))
        await asyncio.sleep(random.uniform(*LOAD_SECONDS))
        for _ in range(random.randrange(WORKER_KILLS + 1) if workers > 1 else 0):
            if pids := _children(program.pid):
                os.kill(random.choice(pids), SIGKILL)
                found.kills["one worker"] += 1
                found.replicas += 1
            await asyncio.sleep(random.uniform(*LOAD_SECONDS))
        if workers > 1 and random.random() < 0.5:
            pids = _children(program.pid)
            program.send(SIGKILL)
            found.kills["the parent alone"] += 1
            await soon(lambda: [pid for pid in pids if _runs(pid)], lambda left: not left)
        else:
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


def _runs(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return words[0] not in {"Z", "X"}


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
    last = await s.restart(journal=journal, trusted_proxies=LOCAL)
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
    for org, kind in KINDS.items():
        consumes = s.platform.consumes(org)
        keys = Counter(each.key for each in consumes)
        held = max(kind.limit // HELD_PART, LEAST_HELD) if LEASED in kind.paths else 0
        strange, keyless, again = (
            by_key(org, USER, load.sent[org], product.markers, set(keys))
            if kind.keyed
            else (0, 0, 0)
        )
        row = Row(
            org=org,
            limit=kind.limit,
            begun=load.begun[org],
            executed=product.units[org, "ai_calls"] - load.refunded[org],
            charged=sum(each.amount for each in consumes),
            repeated=sum(count - 1 for count in keys.values()) + strange,
            unreached=load.unreached[org],
            bound=found.replicas * held,
            keyless=keyless,
            again=again,
        )
        found.rows.append(row)
        in_flight = AMOUNT * CALLERS * (found.kills.total() + found.closings)
        allowed = row.bound + row.unreached + in_flight
        for name in ("free", "double"):
            if units := getattr(row, name):
                found.wrong.append(f"{org}: {units} units {name}")
        if row.lost > allowed:
            found.wrong.append(f"{org}: {row.lost} units lost, {allowed} are explained")
        if 0 <= kind.limit < row.charged:
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
