"""The calls of a settled run: what each asks for, and what its client has seen of it.

`RawClients` writes requests by hand and leaves at random bytes; `tests.soak.settled_sdks` has the
vendors' own clients.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Final, Protocol, Self

import orjson

from tests.e2e.harness import soon
from tests.e2e.raw_client import post
from tests.soak.settled_books import Sent, Settled
from tests.soak.settled_plans import Ending, Plan, Shape
from tests.soak.settled_product import Execution

EXACT: Final = "org_exact"
ROUGH: Final = "org_rough"
KILLED: Final = "org_killed"
SHARED: Final = (EXACT, ROUGH, KILLED)
"""Orgs that many calls share: their books are those of all. The other orgs have one call each."""

_ALONE: Final = 1000
"""Orgs of one call at most, in ROUGH and in KILLED each: the sidecar remembers 10,000."""

DEPOSITS: Final = {Shape.OPENAI: 1, Shape.RESPONSES: 3, Shape.ANTHROPIC: 2, Shape.GEMINI: 5}

_DAY: Final = 86_400.0
SILENT_SECONDS: Final = 20.0
UNSETTLED_SECONDS: Final = 0.3
"""A call whose answer ended longer than that before a kill has been settled."""


class Book:
    """Every call of a run, by org; a call that a client makes again is a call of its own."""

    def __init__(self, found: Settled, calls: int) -> None:
        """Choose orgs for a run of so many calls."""
        self.calls: defaultdict[str, list[Sent]] = defaultdict(list)
        self.found = found
        self._serial = itertools.count()
        alone = min(_ALONE, calls // 8)
        self._alone = {kind: [f"{kind}_{n}" for n in range(alone)] for kind in (ROUGH, KILLED)}
        self._share = {ROUGH: 4 * alone / calls, KILLED: 2 * alone / calls}
        self.orgs = (*SHARED, *itertools.chain(*self._alone.values()))

    def payer(self, kind: str) -> str:
        """Choose the org of a call: a shared one, or one that has no other call."""
        if random.random() < self._share.get(kind, 0.0) and self._alone[kind]:
            return self._alone[kind].pop()
        return kind

    def plan(self, org: str) -> Plan:
        """Choose how a call of an org is to be answered."""
        stream = random.random() < 0.6
        chance = random.random()
        ending = Ending.WHOLE
        if stream and chance < 0.25:
            ending = Ending.MUTE
        elif chance > 0.92:
            ending = Ending.ERROR
        elif chance > 0.87 and not (stream and org == EXACT):
            ending = Ending.BROKEN
        elif org != EXACT and chance > 0.72:
            ending = random.choice((Ending.CUT, Ending.RESET))
        return Plan(
            marker=f"c{next(self._serial)}",
            shape=random.choice(tuple(Shape)),
            stream=stream,
            ending=ending,
            input=random.randrange(200),
            cached=random.randrange(100),
            output=random.randrange(1, 120),
            words=random.randrange(1, 600 if random.random() < 0.1 else 80),
            pieces=random.choice((1, 5, 50)),
        )

    def again(self, plan: Plan) -> Plan:
        """Choose the same for a call that its client makes again."""
        wanted = Ending.MUTE if plan.ending is Ending.MUTE else Ending.WHOLE
        ending = Ending.ERROR if random.random() < 0.2 else wanted
        return dataclasses.replace(plan, marker=f"c{next(self._serial)}", ending=ending)

    def enter(self, org: str, plan: Plan, asked: int) -> Sent:
        """Note a call before it is sent; `asked`: bytes of text in its request."""
        call = Sent(plan, asked, DEPOSITS[plan.shape], loses=org.startswith(KILLED))
        self.calls[org].append(call)
        return call

    def ended(self, org: str, call: Sent, word: str = "") -> None:
        """Note that a client is done with a call; `word` where it has seen no status."""
        call.ended_at = time.monotonic()
        self.found.statuses[f"{kind_of(org)} {word or call.status}"] += 1

    def mute(self, executions: Mapping[str, Execution]) -> int:
        """Count the streams that named no usage and came whole to their clients."""
        return sum(
            call.plan.ending is Ending.MUTE and not call.left
            and (execution := executions.get(call.plan.marker)) is not None and execution.done
            for calls in self.calls.values() for call in calls
        )  # fmt: skip

    def killed(self, at: float) -> None:
        """Note which calls the kill at `at` may have met before they were settled."""
        killed = (calls for org, calls in self.calls.items() if org.startswith(KILLED))
        for call in itertools.chain(*killed):
            if not call.killed and not call.seen_out:
                call.killed = call.ended_at > at - UNSETTLED_SECONDS
                call.seen_out = True


def kind_of(org: str) -> str:
    """Name the shared org whose calls are as those of this one."""
    return next(kind for kind in SHARED if org.startswith(kind))


class Clients(Protocol):
    """Those who call: each as its vendor made it, or by hand."""

    at_once: int

    async def __aenter__(self) -> Self:
        """Open what calls need."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Close it."""

    def turn_to(self, url: str) -> None:
        """Make the calls that follow to a sidecar at this URL."""

    async def call(self, kind: str) -> None:
        """Make one call to its end, as those of a shared org are."""


class Load:
    """Makes calls, some at a time; while no sidecar listens, no call begins. `begun`: so many."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._open = asyncio.Event()
        self.begun = 0

    def turn_to(self, url: str) -> None:
        """Let calls begin, at this URL."""
        self._clients.turn_to(url)
        self._open.set()

    def pause(self) -> None:
        """Let no call begin; those under way go on."""
        self._open.clear()

    async def reached(self, calls: float, running: asyncio.Task[None]) -> None:
        """Wait until so many calls have begun, or what makes them has ended."""
        await soon(lambda: self.begun >= int(calls) or running.done(), bool, seconds=_DAY)

    async def run(self, kinds: tuple[str, ...], calls: int) -> None:
        """Make so many calls."""
        left = iter(range(calls))
        async with asyncio.TaskGroup() as group:
            for _ in range(self._clients.at_once):
                group.create_task(self._caller(kinds, left))

    async def _caller(self, kinds: tuple[str, ...], left: Iterator[int]) -> None:
        for _ in left:
            await self._open.wait()
            self.begun += 1
            await self._clients.call(random.choice(kinds))


class RawClients:
    """Write their requests by hand; outside EXACT three in ten leave at a random byte."""

    at_once = 12

    def __init__(self, book: Book, token: Callable[[str], str]) -> None:
        self._book = book
        self._token = token
        self._address = "", 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def turn_to(self, url: str) -> None:
        """Make the calls that follow to a sidecar at this URL."""
        host, _, port = url.removeprefix("http://").partition(":")
        self._address = host, int(port)

    async def call(self, kind: str) -> None:
        """Make one call; it may be given up at a random byte."""
        book = self._book
        org = book.payer(kind)
        plan = book.plan(org)
        words = "ask " * random.randrange(1, 60)
        body = {"model": "m", "stream": plan.stream, "max_tokens": 120, "note": words}
        call = book.enter(org, plan, len("m") + len(words))
        request = post(
            plan.shape.path,
            self._token(org),
            orjson.dumps(body),
            x_plan=orjson.dumps(plan).decode(),
            connection="close",
        )
        call.left = org != EXACT and random.random() < 0.3
        try:
            async with asyncio.timeout(SILENT_SECONDS):
                await self._exchange(request, call)
        except (OSError, EOFError):
            book.found.statuses[f"{kind} broken"] += 1
        else:
            book.ended(org, call, "" if call.status else "left")

    async def _exchange(self, request: bytes, call: Sent) -> None:
        reader, writer = await asyncio.open_connection(*self._address)
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
