"""What the callers of a kill storm do: orgs of every kind, and each answer checked."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from tests.e2e.harness import CHAT
from tests.e2e.raw_client import Answer, RawClient, post
from tests.fakes.obedient_product import Act, ObedientProduct
from tests.soak.storm_books import Call, Storm

LEASED: Final = "/api/v1/leased"
FRAGILE: Final = "/api/v1/fragile"
CALLERS: Final = 8
AMOUNT: Final = 4
"""At most so many units are one call's."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What an org calls; `keyed`: with request IDs that the sidecar believes."""

    limit: int
    paths: tuple[str, ...]
    keyed: bool = False


KINDS: Final = {
    "org_keyed": Kind(1_000_000, (CHAT,), keyed=True),
    "org_exact": Kind(1_000_000, (CHAT,)),
    "org_lease": Kind(500_000, (LEASED,)),
    "org_mixed": Kind(200_000, (CHAT, LEASED)),
    "org_refund": Kind(1_000_000, (FRAGILE,)),
    "org_free": Kind(-1, (CHAT,), keyed=True),
    "org_tight": Kind(1_500, (CHAT,)),
    "org_tight_lease": Kind(1_500, (LEASED,)),
}

BROKEN: Final = (Act.ERROR, Act.RESET, Act.CLOSE, Act.CUT)
"""Acts after which `refund: failed` gives the units back."""

ACTS: Final = (*[Act.OK] * 12, Act.CHUNKED, Act.STREAM, *BROKEN)

REPEATS: Final = 0.1
"""The share of calls that repeat a request ID."""

USER: Final = "usr_storm"
_DENIALS: Final = frozenset({401, 403, 429, 503})


class Load:
    """Callers of all orgs; they connect again until they are stopped."""

    def __init__(self, tokens: dict[str, str], product: ObedientProduct, storm: Storm) -> None:
        self._tokens = tokens
        self._product = product
        self._storm = storm
        self._serial = itertools.count()
        self.orgs = sorted(tokens)
        self.begun: Counter[str] = Counter()
        self.unreached: Counter[str] = Counter()
        self.refunded: Counter[str] = Counter()
        self.sent: dict[str, list[Call]] = {org: [] for org, kind in KINDS.items() if kind.keyed}
        """The calls of keyed orgs."""

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
        org = random.choice(self.orgs)
        path = random.choice(KINDS[org].paths)
        act = random.choice(ACTS if path != FRAGILE else (Act.OK, Act.OK, *BROKEN))
        number = next(self._serial)
        call = Call(f"m{number}", f"r{number}", random.randint(1, AMOUNT))
        fields = {"x_act": act.value, "x_marker": call.marker}
        # What comes to nothing on the route that refunds it costs nothing.
        fields["x_units"] = str(0 if path == FRAGILE and act in BROKEN else call.amount)
        if org in self.sent:
            if self.sent[org] and random.random() < REPEATS:
                before = random.choice(self.sent[org][-20:])
                call = Call(call.marker, before.request_id, before.amount)
                fields["x_units"] = str(call.amount)
            self.sent[org].append(call)
            fields["x_request_id"] = call.request_id
        body = b'{"n": %d}' % call.amount
        self.begun[org] += call.amount
        try:
            answer = await client.send(post(path, self._tokens[org], body, **fields))
        except KeyError:  # an answer in chunks, which the plain client does not read
            return
        self._storm.answers[f"{answer.status} {answer.mark}".strip()] += 1
        self._check(org, call, answer)
        if path == FRAGILE and act is Act.OK and answer.status >= 500:
            executed = call.marker in self._product.markers
            self.refunded[org] += call.amount if executed else 0

    def _check(self, org: str, call: Call, answer: Answer) -> None:
        marker, executed = call.marker, call.marker in self._product.markers
        if answer.status == 200 and not executed:
            self._storm.wrong.append(f"{marker} was answered and never executed")
        if answer.status in _DENIALS and executed:
            self._storm.wrong.append(f"{marker}: {answer.status}, yet executed: {answer.body!r}")
        if answer.status in {502, 504} and not executed:
            self.unreached[org] += call.amount
