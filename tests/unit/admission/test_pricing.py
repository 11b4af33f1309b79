"""Prices that are read from bodies: what is refused, and in whose time."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from sidecar.domain.model import Reason
from sidecar.domain.turns import turns
from sidecar.policy.amounts import JsonAmount, Scale
from sidecar.policy.json_pointer import JsonPointer
from tests.codings import compressed
from tests.fakes.admission import KnownBody
from tests.fakes.turns import spend_a_budget_each
from tests.unit.admission.scene import Scene


async def test_a_content_coding_that_is_not_read_is_a_415() -> None:
    """The price of such a body cannot be known; no consume."""
    scene = Scene(amount=JsonAmount(JsonPointer.parse("/n"), Scale()))
    call = replace(scene.call(), headers=((b"content-encoding", b"br"),))
    decision = await scene.engine.decide(call, KnownBody(b'{"n":1}'))
    assert (decision.reason, decision.status) == (Reason.BAD_REQUEST, 415)
    assert scene.honest.asked == []


async def test_a_compressed_body_is_priced_within_the_limit() -> None:
    """Its decoded size counts against `body_limit`: 413 over it."""
    scene = Scene(amount=JsonAmount(JsonPointer.parse("/n"), Scale()))
    call = replace(scene.call(), headers=((b"content-encoding", b"gzip"),))
    body = compressed(b'{"n":3}', "gzip")
    assert (await scene.engine.decide(call, KnownBody(body))).reason is Reason.WITHIN_QUOTA
    assert [charge.amount for charge in scene.honest.asked] == [3]
    long = compressed(b'{"n":3,"x":"%b"}' % bytes(b"x" * 2000), "gzip")
    assert (await scene.engine.decide(call, KnownBody(long))).status == 413


async def test_bodies_are_read_in_turns() -> None:
    """Calls with large bodies go on together, and leave the loop to others in between."""
    spend_a_budget_each()
    scene = Scene(amount=JsonAmount(JsonPointer.parse("/n"), Scale()), body_limit=1 << 20)
    body = b'{"x":[' + b"{}," * 20_000 + b'{}],"n":1}'
    calls = [asyncio.ensure_future(scene.decide(body=KnownBody(body))) for _ in range(5)]
    iterations = 0
    while not all(call.done() for call in calls):
        iterations += 1
        await asyncio.sleep(0)
    assert iterations > 100
    assert {(await call).reason for call in calls} == {Reason.WITHIN_QUOTA}


@pytest.mark.parametrize("after", [1, 5, 20])
async def test_a_caller_that_goes_away_while_its_price_is_read_leaves_nothing(after: int) -> None:
    """Cancelled between two slices: no claim, no consume, no turn."""
    spend_a_budget_each()
    scene = Scene(amount=JsonAmount(JsonPointer.parse("/n"), Scale()), body_limit=1 << 20)
    body = KnownBody(b'{"x":[' + b"{}," * 20_000 + b'{}],"n":1}')
    call = asyncio.ensure_future(scene.decide(request_id="r", body=body))
    for _ in range(after):
        await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert len(scene.books.replays) == 0
    assert scene.honest.asked == []
    assert not turns()._waiting
