"""A sidecar between three spoilt wires, all in the test's process, and the books of all of them.

Clients reach it through `client_wire`, it reaches the product through `upstream_wire` and the
platform through `platform_wire`. `reconcile` is the one question that every test ends with.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final
from unittest import mock

from sidecar.admission.books import Books
from sidecar.admission.journal_entries import Purpose
from sidecar.app.wiring import App
from sidecar.domain.model import Charge
from sidecar.local_platform.faults import Faults
from sidecar.local_platform.server import LocalPlatform
from sidecar.platform.breaker import Breaker
from sidecar.platform.consume import Consumer
from tests.e2e.harness import KEY, SESSION_SECRET, Orgs, Place, policy, seed
from tests.fakes.obedient_product import Act, ObedientProduct, body_of
from tests.plane import Answer, Client
from tests.wire.fault_proxy import FaultProxy

PATIENCE: Final = 15.0
"""Seconds in which a quiet world must have come to rest; it takes a fraction of one."""

DENIALS: Final = frozenset({400, 401, 403, 409, 413, 422, 429, 431, 503})
"""Statuses of refusals; the product of these tests answers none of them."""


@dataclass(frozen=True, slots=True)
class Cut:
    """No whole answer came; `got` is what did."""

    why: str
    got: bytes = b""


Outcome = Answer | Cut


@dataclass
class Accounts:
    """Units by org, from every book there is.

    `refused`: executed, and not counted by the platform, which was over its limit when it was told,
    or was not told yet. `in_hand`: counted, and not spent on an attempt yet.
    """

    charged: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    in_hand: Counter[str] = field(default_factory=Counter)

    def paid_for(self, org: str) -> int:
        """Return the units that must have been spent on attempts at the product."""
        return self.charged[org] + self.refused[org] - self.in_hand[org]


class World:
    """Everything that runs, and what a test asks of it."""

    def __init__(
        self,
        platform: LocalPlatform,
        product: ObedientProduct,
        wires: dict[str, FaultProxy],
        orgs: list[str],
    ) -> None:
        self.platform = platform
        self.product = product
        self.client_wire = wires["client"]
        self.upstream_wire = wires["upstream"]
        self.platform_wire = wires["platform"]
        self.reported: list[Charge] = []
        self.consumers: list[Consumer] = []
        self.app: App
        self.policy_file: Path
        self.orgs = orgs
        self._tokens: dict[str, str] = {}
        self._markers = 0

    @property
    def books(self) -> Books:
        """The sidecar's own."""
        return self.app.status._parts.books

    def marker(self) -> str:
        """Name a request as no other is named."""
        self._markers += 1
        return f"m{self._markers:05}"

    def request(
        self,
        org: str,
        marker: str,
        *,
        act: Act = Act.OK,
        path: str = "/api/v1/chat",
        body: bytes = b'{"n": 1}',
        chunked: bool = False,
        **fields: str,
    ) -> bytes:
        """Write a POST of somebody of `org`; `x_request_id` is the field `x-request-id`."""
        if org not in self._tokens:
            self._tokens[org] = self.platform.mint_token(org)
        framing = b"transfer-encoding: chunked" if chunked else b"content-length: %d" % len(body)
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
        head = (
            f"POST {path} HTTP/1.1\r\nhost: notes.example.com\r\n"
            f"cookie: bb_at={self._tokens[org]}\r\nx-act: {act}\r\nx-marker: {marker}\r\n{more}"
        )
        if chunked:
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        return head.encode() + framing + b"\r\n\r\n" + body

    @contextlib.asynccontextmanager
    async def connect(self, *, through: bool = True) -> AsyncIterator[Client]:
        """Connect a client, `through` its wire or straight to the sidecar."""
        port = self.client_wire.port if through else self.app.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield Client(reader, writer)
        finally:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def ask(self, *parts: bytes, through: bool = True, seconds: float = 5.0) -> Outcome:
        """Send a request on a connection of its own; return its answer, or how that failed."""
        try:
            async with asyncio.timeout(seconds), self.connect(through=through) as client:
                await client.send(*parts)
                return await client.answer()
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            return Cut(type(error).__name__, getattr(error, "partial", b""))
        except TimeoutError:
            return Cut("silence")

    def executions(self, marker: str) -> int:
        """Return how often the product executed a request."""
        return sum(1 for each in self.product.arrivals if each.marker == marker)

    def check(self, marker: str, outcome: Outcome) -> None:
        """Hold one outcome against the product's book: whole and true, refused, or cut.

        A cut answer is never taken for a whole one, since `Client` reads by the framing; so a
        whole 200 has every byte of its body, and exactly one execution behind it.
        """
        executed = self.executions(marker)
        assert executed <= 1, f"{marker} was executed {executed} times"
        match outcome:
            case Answer(status=200, body=body):
                assert body == body_of(marker), f"{marker}: {body!r} looks whole and is not"
                assert executed == 1, f"{marker} was answered and never executed"
            case Answer(status=status) if status in DENIALS:
                reason = outcome.body
                upstream_full = b"upstream_busy" in reason
                assert executed == 0 or upstream_full, (
                    f"{marker}: {status}, yet executed: {reason!r}"
                )
            case Answer(status=status):
                assert status in {500, 502, 504}, f"{marker}: {status} {outcome.body!r}"
            case Cut():
                pass

    async def rest(self) -> None:
        """Let everything come to its end, with a platform in health."""
        self.platform.clear_faults()
        gateway, server = self.app.status._plane, self.app.status._server
        books = self.books

        def busy() -> str:
            return ", ".join(
                f"{name}: {left}"
                for name, left in {
                    "in flight": gateway.drain.inflight,
                    "connections": server.open_connections,
                    "journal": len(books.journal),
                    "claims": books.replays.in_flight,
                    "leases asked": books.leases.requested,
                    "consumes": len(self.consumers[-1].in_flight),
                }.items()
                if left
            )

        await until(lambda: not busy(), busy)

    def accounts(self) -> Accounts:
        """Add up the books, the journal's entries too; a lease is in hand once all has stopped.

        To be asked when nothing is in flight.
        """
        found = Accounts()
        counted: set[str | None] = set()
        for each in (each for org in self.orgs for each in self.platform.consumes(org)):
            found.charged[each.org_id] += each.amount
            assert each.key not in counted, f"{each.key} was counted twice"
            counted.add(each.key)
        executed = [*self.reported]
        for entry in self.books.journal.entries():
            if entry.purpose is Purpose.REPORT:
                executed.append(entry.charge)
            elif entry.charge.key in counted:
                found.in_hand[entry.charge.org_id] += entry.charge.amount
        for charge in executed:
            if charge.key not in counted:
                found.refused[charge.org_id] += charge.amount
        for lot in self.books.credits.lots():
            found.in_hand[lot.org_id] += lot.units
        return found

    async def stop(self, seconds: float = 2.0) -> None:
        """Stop the sidecar as SIGTERM does."""
        await self.app.stop(seconds)

    def watch_books(self) -> None:
        """Note which charges the journal has had an answer for, and what it gave up."""
        journal, resolve = self.books.journal, self.books.journal.resolve

        def noting(key: str) -> None:
            self.reported += [
                entry.charge
                for entry in journal.entries()
                if entry.charge.key == key and entry.purpose is Purpose.REPORT
            ]
            resolve(key)

        journal.resolve = noting  # type: ignore[method-assign]


async def until(
    holds: Callable[[], bool], why: Callable[[], str] = str, seconds: float = PATIENCE
) -> None:
    """Wait until something holds; fail, saying why, when it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"after {seconds} s still {why()}"
        await asyncio.sleep(0.005)


@contextlib.contextmanager
def hurried(consumers: list[Consumer], threshold: int) -> Iterator[None]:
    """Shorten what the sidecar waits between two tries, so that a test need not.

    Each consumer that is made is added to `consumers`.
    """

    def consumer(*args: Any, **more: Any) -> Consumer:
        consumers.append(Consumer(*args, **more))
        return consumers[-1]

    breaker = partial(Breaker, first_pause=0.02, longest_pause=0.05, threshold=threshold)
    with (
        mock.patch("sidecar.app.engine.Breaker", breaker),
        mock.patch("sidecar.app.engine.Consumer", consumer),
        mock.patch.multiple(
            "sidecar.admission.reporter", IDLE_SECONDS=0.02, LONGEST_WAIT_SECONDS=0.1
        ),
    ):
        yield


@contextlib.asynccontextmanager
async def world(
    orgs: Orgs,
    *,
    policy_text: str = policy(),
    platform: LocalPlatform | None = None,
    threshold: int = 5,
    direct: bool = False,
    **flags: Any,
) -> AsyncIterator[World]:
    """Run a whole world; with `platform`, on one that runs already and knows the orgs.

    With `direct`, the sidecar reaches product and platform without a wire between. The breaker
    opens after `threshold` failures in a row; `flags` are those of `run`.
    """
    async with contextlib.AsyncExitStack() as owned:
        consumers: list[Consumer] = []
        owned.enter_context(hurried(consumers, threshold))
        folder = Path(owned.enter_context(tempfile.TemporaryDirectory(prefix="bb-wire-")))
        policy_file = folder / "policy.yaml"
        policy_file.write_text(policy_text)
        if platform is None:
            platform = LocalPlatform(seed=seed(orgs), close_deadline=0.2)
            await platform.start()
            owned.push_async_callback(platform.close)
        product = await owned.enter_async_context(ObedientProduct())
        wires = {
            name: await owned.enter_async_context(FaultProxy(target))
            for name, target in (
                ("platform", int(platform.url.rpartition(":")[2])),
                ("upstream", product.port),
                ("client", 0),
            )
        }
        made = World(platform, product, wires, list(orgs))
        made.consumers = consumers
        secrets = {"PLATFORM_INTERNAL_KEY": KEY, "APP_SESSION_SECRET": SESSION_SECRET}
        place = Place(
            policy_file,
            product.url if direct else wires["upstream"].url,
            platform.url if direct else wires["platform"].url,
            platform.url,
            secrets,
        )
        made.policy_file = policy_file
        made.app = App(place.settings(auth_url=platform.url, **flags), secrets)
        await made.app.start()
        owned.push_async_callback(made.app.stop, 1.0)
        made.client_wire.target = made.app.port
        made.watch_books()
        platform.set_faults(Faults())
        yield made
