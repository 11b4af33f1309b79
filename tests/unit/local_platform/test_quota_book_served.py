"""The quota endpoints over real HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sidecar.local_platform import LocalPlatform
from tests.fakes.clock import TurnedClock
from tests.unit.local_platform import acme


async def test_consume_answers_with_every_field(caller: acme.Caller) -> None:
    """The contract's example, field for field."""
    answer = await caller.consume(amount=12)

    assert answer == (
        200,
        {
            "allowed": True,
            "used": 12,
            "limit": 25,
            "remaining": 13,
            "resource": "ai_calls",
            "period": "month",
            "reset_at": "2025-11-01T00:00:00Z",
        },
    )


async def test_over_the_limit_is_200(caller: acme.Caller) -> None:
    """`allowed: false`, never 429."""
    status, body = await caller.consume(amount=26)

    assert (status, body["allowed"], body["used"]) == (200, False, 0)


async def test_unlimited_is_minus_one(caller: acme.Caller) -> None:
    """`limit` and `remaining` of -1."""
    _, body = await caller.consume(resource="api_calls")

    assert (body["limit"], body["remaining"], body["used"]) == (-1, -1, 1)


async def test_the_amount_is_one_when_left_out(caller: acme.Caller) -> None:
    """Default 1."""
    _, body = await caller.consume()

    assert body["used"] == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount", 0),
        ("amount", -1),
        ("amount", True),
        ("amount", 1.0),
        ("amount", "1"),
        ("amount", None),
        ("amount", 2**53),
        ("resource", "tokens"),
        ("resource", None),
        ("org_id", ""),
        ("org_id", 7),
        ("org_id", None),
        ("idempotency_key", ""),
        ("idempotency_key", 7),
        ("product_id", {}),
    ],
)
async def test_what_does_not_fit_the_schema_is_422(
    caller: acme.Caller, platform: LocalPlatform, field: str, value: Any
) -> None:
    """The field is named, and nothing is counted."""
    status, body = await caller.consume(**{field: value})

    assert status == 422
    assert body["detail"][0]["loc"] == ["body", field]
    assert platform.consumes() == []


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"\xff", b"{}"])
async def test_a_body_that_is_no_object_of_ours_is_422(caller: acme.Caller, raw: bytes) -> None:
    """Not JSON, not an object, or empty."""
    status, _ = await caller.ask(
        "POST", "/v1/quota/consume", data=raw, headers={"X-Internal-Key": acme.NOTES_KEY}
    )

    assert status == 422


@pytest.mark.parametrize("headers", [{}, {"X-Internal-Key": "bbas_no"}, {"X-Internal-Key": ""}])
async def test_consume_needs_a_products_secret(
    caller: acme.Caller, headers: dict[str, str]
) -> None:
    """401 without one, or with one that is not known, whatever the body."""
    status, body = await caller.ask("POST", "/v1/quota/consume", data=b"{", headers=headers)

    assert status == 401
    assert isinstance(body["detail"], str)


async def test_two_secrets_are_none(caller: acme.Caller) -> None:
    """Which of two headers counts is not guessed."""
    status, _ = await caller.ask(
        "POST",
        "/v1/quota/consume",
        json={},
        headers=[("X-Internal-Key", acme.NOTES_KEY), ("X-Internal-Key", acme.OTHER_KEY)],
    )

    assert status == 401


async def test_a_secret_of_odd_bytes_is_401(caller: acme.Caller, platform: LocalPlatform) -> None:
    """Bytes that are no UTF-8 are a wrong key and not a crash."""
    host, port = platform.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /v1/quota/consume HTTP/1.1\r\nHost: x\r\nX-Internal-Key: bbas_\xff\r\n"
        b"Content-Length: 2\r\nConnection: close\r\n\r\n{}"
    )
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()

    assert answer.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    ("body", "internal_key", "status"),
    [
        ({"org_id": "org_nobody"}, acme.NOTES_KEY, 404),
        ({}, acme.OTHER_KEY, 403),
        ({"product_id": "other"}, acme.NOTES_KEY, 403),
    ],
)
async def test_consume_for_what_is_not_ones_own(
    caller: acme.Caller, body: dict[str, str], internal_key: str, status: int
) -> None:
    """An unknown org is 404; a product that the org does not have, or not the key's, 403."""
    assert (await caller.consume(internal_key=internal_key, **body))[0] == status


async def test_a_key_used_for_another_charge_is_409(caller: acme.Caller) -> None:
    """Neither answer would be true of the second charge."""
    await caller.consume(idempotency_key="k")

    status, body = await caller.consume(idempotency_key="k", amount=2)

    assert status == 409
    assert "1 ai_calls" in body["detail"]


async def test_status_shows_what_the_plan_names(caller: acme.Caller) -> None:
    """The key's own org, each resource with its state."""
    await caller.consume(amount=5)

    assert await caller.read("/v1/quota/status") == (
        200,
        {
            "org_id": acme.ORG,
            "quotas": {
                "ai_calls": {
                    "used": 5,
                    "limit": 25,
                    "remaining": 20,
                    "period": "month",
                    "reset_at": "2025-11-01T00:00:00Z",
                },
                "api_calls": {
                    "used": 0,
                    "limit": -1,
                    "remaining": -1,
                    "period": "month",
                    "reset_at": "2025-11-01T00:00:00Z",
                },
            },
        },
    )


async def test_the_breakdown_names_the_product(caller: acme.Caller) -> None:
    """Split by product id."""
    await caller.consume(amount=5)

    _, body = await caller.read("/v1/quota/breakdown")

    assert body["products"]["acme-notes"]["ai_calls"]["used"] == 5


async def test_the_month_turns_with_the_clock(caller: acme.Caller, clock: TurnedClock) -> None:
    """A full quota is empty in the next month, UTC."""
    await caller.consume(amount=25)
    clock.advance(23 * 86_400)

    _, body = await caller.consume()

    assert (body["used"], body["reset_at"]) == (1, "2025-12-01T00:00:00Z")


async def test_5000_parallel_consumes_count_exactly(
    caller: acme.Caller, platform: LocalPlatform
) -> None:
    """3,000 with 1,000 keys, each sent three times, and 2,000 without; a limit of 2,500."""
    await caller.control("PUT", f"/orgs/{acme.ORG}", {"quotas": {"ai_calls": 2500}})
    keys = [f"k{number % 1000}" for number in range(3000)] + [None] * 2000
    mixed = [keys[number * 1009 % 5000] for number in range(5000)]

    answers = await asyncio.gather(
        *(caller.consume(**({} if key is None else {"idempotency_key": key})) for key in mixed)
    )

    by_key: dict[str, list[Any]] = {}
    allowed = 0
    for key, (status, body) in zip(mixed, answers, strict=True):
        assert status == 200
        if key is None:
            allowed += body["allowed"]
        else:
            by_key.setdefault(key, []).append(body)
    assert all(same == bodies[0] for bodies in by_key.values() for same in bodies)
    allowed += sum(bodies[0]["allowed"] for bodies in by_key.values())
    assert allowed == 2500
    assert sum(consume.amount for consume in platform.consumes(acme.ORG)) == 2500
    _, status_body = await caller.read("/v1/quota/status")
    assert status_body["quotas"]["ai_calls"]["used"] == 2500
