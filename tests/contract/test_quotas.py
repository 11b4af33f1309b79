"""What the contract says of quotas."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.contract.target import Client

fact = pytest.mark.fact

FIELDS = {"allowed", "used", "limit", "remaining", "resource", "period", "reset_at"}


def fresh_key() -> str:
    """A key that no run used before."""
    return f"contract-{uuid.uuid4()}"


@fact("api", "200 of consume always carries allowed used limit remaining resource period reset_at")
async def test_consume_carries_every_field(platform: Client) -> None:
    """All seven, of the right types."""
    status, body = await platform.consume(amount=1)

    assert status == 200
    assert set(body) >= FIELDS
    assert isinstance(body["allowed"], bool)
    assert all(type(body[name]) is int for name in ("used", "limit", "remaining"))


@fact("api", "amount is 1 when left out")
async def test_the_amount_is_one(platform: Client) -> None:
    """One more was used."""
    before = await platform.used()
    await platform.consume()

    assert await platform.used() == before + 1


@fact("api", "remaining is limit less used, and -1 when unlimited")
async def test_remaining(platform: Client) -> None:
    """The three numbers agree."""
    _, body = await platform.consume(amount=3)

    expected = -1 if body["limit"] == -1 else body["limit"] - body["used"]
    assert body["remaining"] == expected


@fact("api", "reset_at is the start of next month, UTC, in ISO 8601")
async def test_reset_at(platform: Client) -> None:
    """Whatever the offset it is written with."""
    _, body = await platform.consume()

    reset = datetime.fromisoformat(body["reset_at"]).astimezone(UTC)
    now = datetime.now(UTC)
    assert (reset.day, reset.hour, reset.minute, reset.second) == (1, 0, 0, 0)
    assert (reset.year * 12 + reset.month) - (now.year * 12 + now.month) in (0, 1)


@fact("api", "a retry with the same idempotency_key is not counted twice")
async def test_a_key_counts_once(platform: Client) -> None:
    """Three times sent, once counted."""
    before = await platform.used()
    key = fresh_key()
    for _ in range(3):
        await platform.consume(amount=2, idempotency_key=key)

    assert await platform.used() == before + 2


@fact("ours", "the same idempotency_key answers the same body again")
async def test_a_key_answers_the_same(platform: Client) -> None:
    """Also after another consume."""
    key = fresh_key()
    first = await platform.consume(idempotency_key=key)
    await platform.consume()

    assert await platform.consume(idempotency_key=key) == first


@fact("ours", "an idempotency_key used for another amount is 409")
async def test_a_conflicting_key(platform: Client) -> None:
    """Neither answer would be true."""
    key = fresh_key()
    await platform.consume(idempotency_key=key)

    assert (await platform.consume(idempotency_key=key, amount=2))[0] == 409


@fact("api", "consuming is atomic: parallel consumes are all counted, each once")
async def test_parallel_consumes(platform: Client) -> None:
    """Twenty at once, ten keys sent twice."""
    before = await platform.used()
    keys = [fresh_key() for _ in range(10)]
    await asyncio.gather(*(platform.consume(idempotency_key=key) for key in keys * 2))

    assert await platform.used() == before + 10


async def over_the_limit(platform: Client) -> tuple[int, Any]:
    """Ask for one unit more than remains."""
    _, state = await platform.consume()
    if state["limit"] == -1:
        pytest.skip("this org's resource is unlimited: nothing is over its limit")
    return await platform.consume(amount=state["remaining"] + 1)


@fact("api", "over the limit is 200 with allowed:false, never 429")
async def test_over_the_limit(platform: Client) -> None:
    """The status is not the verdict."""
    status, body = await over_the_limit(platform)

    assert (status, body["allowed"]) == (200, False)


@fact("ours", "a refused consume counts nothing")
async def test_a_refusal_counts_nothing(platform: Client) -> None:
    """Used is as before."""
    before = await platform.used()
    await over_the_limit(platform)

    assert await platform.used() == before + 1


@pytest.mark.parametrize("amount", [0, -1, 1.5, True, "1"])
@fact("ours", "an amount that is not a positive whole number is 422 with detail")
async def test_a_bad_amount(platform: Client, amount: object) -> None:
    """Not counted, not coerced."""
    status, body = await platform.consume(amount=amount)

    assert status == 422
    assert "detail" in body


@fact("ours", "an unknown resource is 422")
async def test_an_unknown_resource(platform: Client) -> None:
    """Not counted under a name of its own."""
    assert (await platform.consume(resource="no_such_resource"))[0] == 422


@fact("ours", "an unknown org is 404")
async def test_an_unknown_org(platform: Client) -> None:
    """Neither allowed nor refused."""
    assert (await platform.consume(org_id=f"org_{uuid.uuid4().hex}"))[0] == 404


@fact("api", "consume without a good X-Internal-Key is 401")
@pytest.mark.parametrize("headers", [{}, {"X-Internal-Key": "bbas_wrong"}])
async def test_consume_needs_the_secret(platform: Client, headers: dict[str, str]) -> None:
    """Missing or wrong."""
    target = platform.target
    status, body = await platform.ask(
        "POST",
        f"{target.url}/v1/quota/consume",
        json={"org_id": target.org_id, "resource": target.resource},
        headers=headers,
    )

    assert status == 401
    assert "detail" in body


@fact("api", "status tells used limit remaining period reset_at by resource, for the key's org")
async def test_status(platform: Client) -> None:
    """The org is the key's own."""
    status, body = await platform.as_org("GET", "/v1/quota/status")

    assert (status, body["org_id"]) == (200, platform.target.org_id)
    state = body["quotas"][platform.target.resource]
    assert set(state) >= {"used", "limit", "remaining", "period", "reset_at"}


@fact("api", "status without a good bbk_ key is 401")
async def test_status_needs_the_key(platform: Client) -> None:
    """Nobody's quotas for nobody."""
    assert (await platform.ask("GET", f"{platform.target.url}/v1/quota/status"))[0] == 401


@fact("ours", "breakdown is org_id and products, each as status has its quotas")
async def test_breakdown(platform: Client) -> None:
    """The product that consumed is in it."""
    await platform.consume()
    status, body = await platform.as_org("GET", "/v1/quota/breakdown")

    assert (status, body["org_id"]) == (200, platform.target.org_id)
    assert body["products"][platform.target.product][platform.target.resource]["used"] >= 1
