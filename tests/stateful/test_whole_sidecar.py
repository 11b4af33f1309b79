"""Clients, a sidecar, a platform and a product, in any order that Hypothesis can think of.

Real sockets, one process, one event loop. Whatever the order: no refused request reaches the
product; what the platform counted, and what passed without it, is what the product executed, to
the unit and per org; nothing is left in the books, on a socket or in a task when all is quiet.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections import Counter
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import pytest
import uvloop
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from typing_extensions import override

from sidecar.local_platform.control_wire import OrgBody
from sidecar.local_platform.faults import Faults, Malformed
from sidecar.local_platform.server import LocalPlatform
from tests.e2e.harness import LOCAL, policy, seed
from tests.fakes.obedient_product import Act
from tests.plane import Client
from tests.wire.world import Cut, Outcome, World, until, world

T = TypeVar("T")

OWN_WISH: Final = "BB_STATEFUL_EXAMPLES" in os.environ
EXAMPLES: Final = int(os.environ.get("BB_STATEFUL_EXAMPLES", "40"))
"""How many histories are tried, always the same ones; `BB_STATEFUL_EXAMPLES=2000` tries others."""

STEPS: Final = int(os.environ.get("BB_STATEFUL_STEPS", "30"))
LIMITS: Final = {"tight": 12, "ample": 100_000, "free": -1}
FAULTS: Final = {
    "none": Faults(),
    "slow": Faults(latency_ms=20),
    "late": Faults(latency_ms=150),
    "hang": Faults(hang=True),
    "broken": Faults(status=500),
    "half broken": Faults(status=503, error_rate=0.5),
    "busy": Faults(status=429),
    "locked out": Faults(status=401),
    "conflict": Faults(status=409, error_rate=0.5),
    "lost answers": Faults(drop_after_commit=True),
    "some lost answers": Faults(drop_after_commit=True, error_rate=0.5),
    "html": Faults(malformed=Malformed.HTML),
    "half": Faults(malformed=Malformed.HALF),
    "wrong types": Faults(malformed=Malformed.WRONG_TYPES, error_rate=0.5),
}
"""Not among them: `store_down`, which for an unlimited org looks like the truth (contract)."""

ON_ERROR: Final = ("fail_open", "fail_closed", "last_known")
PATHS: Final = ("/api/v1/chat", "/api/v1/fragile", "/open", "/blocked")
WHOLE: Final = -1
"""Of a client that leaves: after the last byte of its answer."""

ENDLESS: Final = frozenset({Act.ENDLESS, Act.SWITCH})


def policy_of(on_error: str, accuracy: str, replay: str) -> str:
    """Write a policy: amounts read from the body, one route that refunds what failed."""
    amount = {"json": "/n", "default": 1, "max": 4}
    return policy(
        defaults={
            "platform_timeout": "100ms",
            "on_platform_error": on_error,
            "accuracy": accuracy,
            "replay": replay,
            "fail_open_budget": {"units": 20, "seconds": 900},
        },
        routes=[
            {
                "name": "fragile",
                "match": {"path": "/api/v1/fragile"},
                "meter": {"amount": amount, "refund": "failed"},
            },
            {"name": "chat", "match": {"path": "/api/v1/chat"}, "meter": {"amount": amount}},
            {"name": "blocked", "match": {"path": "/blocked"}, "action": "deny"},
        ],
    )


@dataclass
class Flight:
    """A request under way; `rest` is sent when `more` is set.

    `leaves`: the client goes away after so many bytes of its answer; None: it stays for all of it.
    """

    marker: str
    path: str
    act: Act
    first: bytes
    rest: bytes
    leaves: int | None = None
    more: asyncio.Event = field(default_factory=asyncio.Event)
    client: Client | None = None
    task: asyncio.Task[Outcome] | None = None


class WholeSidecar(RuleBasedStateMachine):
    """One sidecar, three orgs, and everybody's faults."""

    runner: ClassVar[asyncio.Runner]
    platform: ClassVar[LocalPlatform]
    serials: ClassVar[Any] = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.owned = contextlib.AsyncExitStack()
        self.flights: list[Flight] = []
        self.amounts: dict[str, tuple[str, int]] = {}
        self.refunded: set[str] = set()
        self.w: World

    def run(self, awaitable: Coroutine[Any, Any, T]) -> T:
        """Run one step on the loop that all machines share."""
        return self.runner.run(awaitable)

    @initialize(
        on_error=st.sampled_from(ON_ERROR),
        accuracy=st.sampled_from(["exact", "lease"]),
        replay=st.sampled_from(["charge", "reject"]),
        trusted=st.booleans(),
    )
    def begin(self, on_error: str, accuracy: str, replay: str, *, trusted: bool) -> None:
        self.accuracy = accuracy
        self.trusted = trusted
        self.run(self._begin(policy_of(on_error, accuracy, replay), trusted=trusted))

    async def _begin(self, text: str, *, trusted: bool) -> None:
        serial = next(self.serials)
        orgs = {f"org_{name}_{serial}": limit for name, limit in LIMITS.items()}
        for org in seed(orgs).orgs:
            self.platform.put_org(org.id, OrgBody(apps=org.apps, plan=org.plan, quotas=org.quotas))
        self.before = (asyncio.all_tasks(), descriptors())
        proxies = LOCAL if trusted else "192.0.2.1"
        self.w = await self.owned.enter_async_context(
            world(
                orgs,
                policy_text=text,
                platform=self.platform,
                direct=True,
                trusted_proxies=proxies,
            )
        )

    # requests

    @rule(
        org=st.sampled_from(sorted(LIMITS)),
        path=st.sampled_from(PATHS),
        act=st.sampled_from(sorted(set(Act) - ENDLESS)),
        amount=st.integers(0, 5),
        chunked=st.booleans(),
        request_id=st.sampled_from([None, None, "same", "other"]),
        sent=st.sampled_from([1.0, 1.0, 1.0, 0.3, 0.95]),
        leaves=st.sampled_from([None, None, None, None, 0, 1, 40, 150, WHOLE]),
        fault=st.sampled_from([*sorted(FAULTS), "none", "none", "none"]),
    )
    def request(  # noqa: PLR0917 - all of it is drawn
        self,
        org: str,
        path: str,
        act: Act,
        amount: int,
        request_id: str | None,
        sent: float,
        fault: str,
        leaves: int | None = None,
        *,
        chunked: bool,
    ) -> None:
        """Begin a request, or the part `sent` of it, with the platform as `fault` says."""
        self.platform.set_faults(FAULTS[fault])
        w, marker = self.w, self.w.marker()
        owner = next(each for each in w.orgs if f"_{org}_" in each)
        if path == "/api/v1/fragile":
            # It is refunded by how it ended, which only one that stays can tell.
            sent, leaves = 1.0, None
        metered = path.startswith("/api/v1/")
        self.amounts[marker] = (owner, amount if metered else 0)
        request = w.request(
            owner,
            marker,
            act=act,
            path=path,
            body=b'{"n": %d, "text": "%b"}' % (amount, b"x" * 200),
            chunked=chunked,
            **({} if request_id is None else {"x_request_id": request_id}),
        )
        cut = int(len(request) * sent)
        flight = Flight(marker, path, act, request[:cut], request[cut:], leaves)
        if self.run(self._begun(flight)):
            self.flights.append(flight)

    async def _begun(self, flight: Flight) -> bool:
        flight.task = asyncio.ensure_future(self._fly(flight))
        await asyncio.wait((flight.task,), timeout=0.02)
        if flight.task.done():
            self._landed(flight, flight.task.result())
        return not flight.task.done()

    async def _fly(self, flight: Flight) -> Outcome:
        try:
            async with self.w.connect(through=False) as client:
                flight.client = client
                await client.send(flight.first)
                if flight.rest:
                    await flight.more.wait()
                    await client.send(flight.rest)
                if flight.leaves is None:
                    return await client.answer()
                if flight.leaves == WHOLE:
                    await client.answer()
                elif flight.leaves:
                    await client.reader.read(flight.leaves)  # a short answer has fewer
                client.reset()
                return Cut("left")
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            return Cut(type(error).__name__)

    def _landed(self, flight: Flight, outcome: Outcome, *, stopped: bool = False) -> None:
        self.w.check(flight.marker, outcome)
        if flight.leaves is None and flight.act is Act.OK and not stopped:
            assert not isinstance(outcome, Cut), f"{flight.marker} was not answered: {outcome}"
        if flight.path == "/blocked":
            assert isinstance(outcome, Cut) or outcome.status == 403
        failed = isinstance(outcome, Cut) or outcome.status >= 500
        if flight.path == "/api/v1/fragile" and failed:
            self.refunded.add(flight.marker)

    def _take(self, at: int, *, leaving: bool = False) -> Flight | None:
        """Take one of those under way; which ones are is a matter of time, so nothing is drawn."""
        flights = [each for each in self.flights if not (leaving and "fragile" in each.path)]
        if not flights:
            return None
        flight = flights[at % len(flights)]
        self.flights.remove(flight)
        return flight

    @rule(at=st.integers(0, 20))
    def finish(self, at: int) -> None:
        """Send what is missing of one request, let the product answer all, and wait for this."""
        flight = self._take(at)
        if flight is not None:
            self.run(self._finish(flight))

    async def _finish(self, flight: Flight) -> None:
        assert flight.task is not None
        flight.more.set()
        async with asyncio.timeout(10):
            while not flight.task.done():
                self.w.product.release()
                await asyncio.wait((flight.task,), timeout=0.01)
        self._landed(flight, flight.task.result())

    @rule(at=st.integers(0, 20), reset=st.booleans())
    def abort(self, at: int, *, reset: bool) -> None:
        """Have a client leave, wherever its request is."""
        flight = self._take(at, leaving=True)
        if flight is not None:
            self.run(self._abort(flight, reset=reset))

    async def _abort(self, flight: Flight, *, reset: bool) -> None:
        """End it by a reset, which is heard at once, or a FIN, after which there is a grace."""
        assert flight.task is not None
        if flight.task.done():
            self._landed(flight, flight.task.result())
            return
        if reset and flight.client is not None and not flight.client.writer.is_closing():
            flight.client.reset()
        flight.task.cancel()
        await asyncio.wait((flight.task,))
        await asyncio.sleep(0.002)

    @rule(
        org=st.sampled_from(sorted(LIMITS)),
        path=st.sampled_from(PATHS[:2]),
        acts=st.lists(st.sampled_from(sorted(set(Act) - ENDLESS)), min_size=1, max_size=4),
        request_id=st.sampled_from([None, "same"]),
        fault=st.sampled_from(sorted(FAULTS)),
    )
    def burst(
        self, org: str, path: str, acts: list[Act], request_id: str | None, fault: str
    ) -> None:
        """Begin several at once."""
        for act in acts:
            self.request(org, path, act, 1, request_id, 1.0, fault, chunked=False)

    @rule(
        org=st.sampled_from(sorted(LIMITS)),
        fault=st.sampled_from(["late", "hang", "lost answers"]),
        request_id=st.sampled_from([None, "same"]),
        after=st.sampled_from([0.0, 0.005, 0.07]),
    )
    def leave_before_the_verdict(
        self, org: str, fault: str, request_id: str | None, after: float
    ) -> None:
        """Have a client leave while the platform is asked: counted or not, it is not executed."""
        flights = len(self.flights)
        # More units than a credit is likely to hold, which would be paid without asking.
        self.request(org, PATHS[0], Act.OK, 4, request_id, 1.0, fault, chunked=False)
        self.run(asyncio.sleep(after))
        if len(self.flights) > flights:
            self.run(self._abort(self.flights.pop(), reset=True))
        self.platform.clear_faults()

    # the others

    @rule(org=st.sampled_from(sorted(LIMITS)), request_id=st.sampled_from([None, "same"]))
    def product_is_away(self, org: str, request_id: str | None) -> None:
        """Ask while nobody listens: nothing arrives, and nothing is owed."""
        self.run(self._product_closes())
        self.run(self.w.product.stop_listening())
        self.request(org, PATHS[0], Act.OK, 2, request_id, 1.0, "none", chunked=False)
        self.run(self.w.product.listen())

    @rule()
    def product_closes_idle_connections(self) -> None:
        self.run(self._product_closes())

    async def _product_closes(self) -> None:
        """Close in order: wholly where nothing can be on its way, else this side alone."""
        busy = self.w.app.status.requests
        self.w.product.close_idle(hearing=bool(busy))
        await asyncio.sleep(0 if busy else 0.003)

    @rule(
        on_error=st.sampled_from(ON_ERROR),
        replay=st.sampled_from(["charge", "reject"]),
        bad=st.sampled_from([None, None, "", "version: 2", "\0", "version: 1\nproduct: [\n"]),
    )
    def reload(self, on_error: str, replay: str, bad: str | None) -> None:
        """Replace the policy, or what it is read from by what is none."""
        self._reload(policy_of(on_error, self.accuracy, replay) if bad is None else bad)

    def _reload(self, text: str) -> None:
        async def reload() -> None:
            self.w.policy_file.write_text(text)
            await self.w.app.status.reload()

        self.run(reload())

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.06]))
    def time_passes(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    @rule()
    def all_comes_to_rest(self) -> None:
        self.run(self._rest())

    # what holds

    async def _rest(self) -> None:
        """Let all requests end and all faults go; then nothing may be left, and the sums hold."""
        self.platform.clear_faults()
        while self.flights:
            await self._finish(self.flights.pop())
        await self.w.rest()
        assert len(self.w.books.journal) == 0
        if not self.w.books.leases.held:
            self._balance()

    def _balance(self) -> None:
        w = self.w
        executed: Counter[str] = Counter()
        late = [arrival for arrival, _, _ in w.product.late]
        for arrival in [*w.product.arrivals, *late]:
            owner, amount = self.amounts[arrival.marker]
            if arrival.marker not in self.refunded:
                executed[owner] += amount
        accounts = w.accounts()
        for org in w.orgs:
            paid = accounts.paid_for(org)
            # Under a trusted proxy's ID without Redis nothing is given back: it may be paid for.
            exact = paid >= executed[org] if self.trusted else paid == executed[org]
            assert exact, (
                f"{org}: counted {accounts.charged[org]}, passed without {accounts.refused[org]}, "
                f"in hand {accounts.in_hand[org]}, executed {executed[org]}"
            )
            assert accounts.charged[org] <= LIMITS[org.split("_")[1]] or "free" in org

    @override
    def teardown(self) -> None:
        try:
            if hasattr(self, "w"):
                self.run(self._end())
        finally:
            self.platform.clear_faults()
            self.run(self.owned.aclose())

    async def _end(self) -> None:
        """Stop with what is still under way, or come to rest first; both leave nothing."""
        leaving = [each for each in self.flights if "fragile" not in each.path]
        for flight in [each for each in self.flights if each not in leaving]:
            self.flights.remove(flight)
            await self._finish(flight)
        if not leaving:
            await self._rest()
        await self.w.stop(0.02)
        for flight in leaving:
            assert flight.task is not None
            flight.more.set()
            async with asyncio.timeout(5):
                self._landed(flight, await flight.task, stopped=True)
        self.flights.clear()
        assert self.w.books.replays.in_flight == 0
        assert self.w.app.status.requests == 0
        self._balance()
        await self.owned.aclose()
        tasks, files = self.before
        await until(
            lambda: not others() - tasks and descriptors() <= files,
            lambda: f"{descriptors() - files} more files, {others() - tasks}",
            seconds=5.0,
        )


def others() -> set[asyncio.Task[Any]]:
    """Return the tasks beside this one."""
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


def descriptors() -> int:
    """Count the open files of this process."""
    return len(list(Path("/dev/fd").iterdir()))


@pytest.fixture(scope="module", autouse=True)
def shared() -> Iterator[None]:
    """Run one loop and one platform for all histories: each has orgs of its own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        WholeSidecar.runner = runner
        WholeSidecar.platform = LocalPlatform(seed=seed({"org_first": 1}), close_deadline=0.2)
        runner.run(WholeSidecar.platform.start())
        yield
        runner.run(WholeSidecar.platform.close())


TestWholeSidecar = pytest.mark.timeout(0 if OWN_WISH else 300)(WholeSidecar.TestCase)
TestWholeSidecar.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    derandomize=not OWN_WISH,
    database=None,
    suppress_health_check=list(HealthCheck),
)
