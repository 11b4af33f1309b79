"""What an endpoint refuses before it acts."""

from __future__ import annotations

from tests.unit.local_platform import acme


async def test_a_misfit_does_not_repeat_what_was_sent(caller: acme.Caller) -> None:
    """The body may hold a secret; the answer goes into logs."""
    _, body = await caller.as_product(
        "POST", "/v1/quota/consume", {"org_id": "bbk_pasted_here", "resource": "bbk_and_here"}
    )

    assert "bbk_" not in str(body)


async def test_all_misfits_are_told_at_once(caller: acme.Caller) -> None:
    """One round for the caller."""
    _, body = await caller.as_product("POST", "/v1/quota/consume", {"amount": 0})

    assert {item["loc"][1] for item in body["detail"]} == {"org_id", "resource", "amount"}


async def test_an_empty_body_is_one_where_that_is_allowed(caller: acme.Caller) -> None:
    """Rotation needs nothing said; a token does."""
    assert (await caller.control("POST", "/rotate-keys"))[0] == 200
    assert (await caller.control("POST", "/token"))[0] == 422
