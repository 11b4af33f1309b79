"""Each case of the usage document that ends a call in another way, through the whole chain."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import orjson
import pytest

from tests.e2e.harness import LOCAL, ORG, Stack, eventually, policy, stack
from tests.e2e.programs import redis
from tests.redis_server import wait_for_redis
from tests.soak.settled_plans import Ending, Plan, Shape
from tests.soak.settled_product import SettledProduct

PATH: Final = "/v1/chat/completions"
BODY: Final = {"model": "m", "messages": [{"role": "user", "content": "how much is this"}]}
DIFFER: Final = (b"x-plan:", b"x-request-id:", b"cookie:")
MONTHS: Final = 40 * 86_400.0
TTL: Final = 80 * 86_400


class MovedClock:
    """A clock whose wall time a test moves."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        return time.time() + self.ahead


@dataclass
class Chain:
    """A chain before a product that answers by plan."""

    s: Stack
    product: SettledProduct
    clock: MovedClock
    serial: int = 0

    async def ask(
        self,
        *,
        output: int = 0,
        ending: Ending = Ending.WHOLE,
        path: str = PATH,
        request_id: str = "",
    ) -> httpx.Response:
        """Make one call that costs 10.5 units, or so many more."""
        self.serial += 1
        plan = Plan(f"c{self.serial}", Shape.OPENAI, False, ending, 105, 0, output, 3)
        headers = {"x-plan": orjson.dumps(dataclasses.asdict(plan)).decode()}
        if request_id:
            headers["x-request-id"] = request_id
        headers["cookie"] = f"bb_at={self.s.token(ORG, ttl=TTL)}"
        return await self.s.client.post(path, json=BODY, headers=headers)

    async def rest(self) -> dict[str, float]:
        """Wait until nothing is owed or held; return what was settled, by outcome."""
        names = ("held_units", "journal_pending_units", "inflight_requests")
        page = await eventually(self.s.metrics, lambda p: not any(p.sum(n) for n in names))
        return page.by("settled_units_total", "outcome")

    async def credits(self) -> float:
        """Read the units that are paid and not used."""
        page = await self.s.metrics()
        return page.sum("credits_units") + page.sum("lease_units", state="held")


@asynccontextmanager
async def chain(meter: Mapping[str, Any], limit: int, **flags: Any) -> AsyncIterator[Chain]:
    """Run a chain in which ten tokens are a unit."""
    usage = {"format": "openai", "per": 10, **meter.get("usage", {})}
    usage["hold"] = {"json": "/max_tokens", "default": 1, "max": 10}
    route = {
        "name": "chat",
        "match": {"path": PATH},
        "meter": {"platform_timeout": "300ms", **meter, "usage": usage},
    }
    free = {"name": "free", "match": {"path": "/free"}, "action": "allow"}
    clock = MovedClock()
    text = policy(routes=[route, free])
    async with (
        SettledProduct() as product,
        stack(policy=text, orgs={ORG: limit}, upstream_url=product.url, clock=clock, **flags) as s,
    ):
        yield Chain(s, product, clock)


async def shadow(c: Chain) -> None:
    """Request and answer keep every byte, and the call is settled."""
    answer = await c.ask()
    plain = await c.ask(path="/free")
    assert answer.content == plain.content
    ours, theirs = c.product.requests
    assert fields_of(ours) == fields_of(theirs)
    assert await c.rest() == {"counted": 9}
    assert c.s.charges() == 10


def fields_of(request: bytes) -> list[bytes]:
    """Return the lines of a request to the product, without those that differ in any two."""
    lines = request.split(b"\r\n")[1:]
    return [line for line in lines if not line.lower().startswith(DIFFER)]


async def allowed_over_quota(c: Chain) -> None:
    """Of 10 units 3 are there: 7 are forgiven, and the next call passes."""
    assert (await c.ask()).status_code == 200
    assert await c.rest() == {"counted": 2, "forgiven": 7}
    answer = await c.ask()
    assert (answer.status_code, answer.headers["x-quota-decision"]) == (200, "over_quota_allowed")
    await c.rest()
    assert c.s.charges() == 3


async def unlimited(c: Chain) -> None:
    """The platform's statistics have all of it."""
    for _ in range(4):
        assert (await c.ask()).status_code == 200
    await c.rest()
    assert c.s.charges() == 42


async def leased(c: Chain) -> None:
    """What a lease paid, what was consumed and what is left are what the calls cost."""
    for _ in range(20):
        assert (await c.ask()).status_code == 200
    await c.rest()
    assert c.s.charges() - await c.credits() == 210


async def replayed(c: Chain) -> None:
    """The second call of an ID is refused, and settled by nothing."""
    found = [(await c.ask(request_id="one")).status_code for _ in range(2)]
    assert found == [200, 409]
    await c.rest()
    assert c.s.charges() == 10


async def period_ended(c: Chain) -> None:
    """What waits is counted in the new period; what was carried and credited is void."""
    await c.ask()
    await c.rest()
    await c.s.fault(status=500)
    await c.ask(output=1)
    c.clock.ahead = MONTHS
    await c.s.fault()
    await c.rest()
    assert c.s.charges() == 10 + 11  # 10.5 + 10.6: 1.1 was carried so far, 0.1 of it void now
    await c.ask()
    await c.rest()
    assert c.s.charges() == 31


async def blocked(c: Chain) -> None:
    """Overrun refuses the org's calls, until an answer affords them."""
    assert (await c.ask()).status_code == 200
    assert await c.rest() == {"counted": 2, "overrun": 7}
    assert (await c.ask()).status_code == 429
    c.s.limit(ORG, 1000)
    answer = await eventually(c.ask, lambda answer: answer.status_code == 200, seconds=8.0)
    assert answer.status_code == 200
    await c.rest()


async def forgiven(c: Chain) -> None:
    """Overrun is counted, and a plan that is raised is used at once."""
    assert (await c.ask()).status_code == 200
    assert await c.rest() == {"counted": 2, "forgiven": 7}
    c.s.limit(ORG, 1000)
    assert (await c.ask()).status_code == 200
    await c.rest()


async def refunded(c: Chain) -> None:
    """A 5xx gives the deposit back, and owes nothing."""
    assert (await c.ask(ending=Ending.ERROR)).status_code == 503
    assert await c.rest() == {}
    assert (c.s.charges(), await c.credits()) == (1, 1)


async def shared_key(c: Chain) -> None:
    """Under a key that another replica may have used the deposit is the least that it costs."""
    assert (await c.ask(request_id="one")).status_code == 200
    assert await c.rest() == {}
    assert (c.s.charges(), await c.credits()) == (20, 0)


async def own_number(c: Chain) -> None:
    """With a number from Redis the difference is a credit."""
    assert (await c.ask(request_id="one")).status_code == 200
    assert await c.rest() == {"returned": 10}
    assert (c.s.charges(), await c.credits()) == (20, 10)


@dataclass(frozen=True)
class Case:
    """A meter, what the org has, and what is to happen."""

    happens: Callable[[Chain], Awaitable[None]]
    limit: int = 1000
    meter: Mapping[str, Any] = field(default_factory=dict)
    flags: Mapping[str, Any] = field(default_factory=dict)


CASES: Final = (
    Case(shadow, meter={"enforcement": "shadow", "usage": {"request_usage": True}}),
    Case(allowed_over_quota, limit=3, meter={"on_over_quota": "allow"}),
    Case(unlimited, limit=-1),
    Case(leased, limit=100_000, meter={"accuracy": "lease"}),
    Case(replayed, meter={"replay": "reject"}),
    Case(period_ended),
    Case(blocked, limit=3),
    Case(forgiven, limit=3, meter={"usage": {"overrun": "forgive"}}),
    Case(refunded, meter={"refund": "failed"}),
    Case(shared_key, meter={"amount": 20}, flags={"trusted_proxies": LOCAL}),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.happens.__name__)
async def test_a_case_is_settled_as_documented(case: Case) -> None:
    """One row of docs/usage.md."""
    async with chain(case.meter, case.limit, **case.flags) as c:
        await case.happens(c)


async def test_a_trusted_request_id_with_redis_is_settled_to_the_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same as without, but for the credit."""
    wait_for_redis(monkeypatch)
    async with redis(tmp_path, "secret") as path:
        url = f"unix://:secret@{path}"
        async with chain({"amount": 20}, 1000, trusted_proxies=LOCAL, redis=url) as c:
            await own_number(c)
