"""What calls may cost, as their requests say, and when that is read."""

from __future__ import annotations

from collections.abc import Generator
from decimal import Decimal

import pytest

from sidecar.admission.call_estimates import ReadOnce
from sidecar.domain.model import AttemptEnd, Headers
from sidecar.domain.usage import Estimate, UsageRule
from tests.fakes.admission import KnownBody
from tests.unit.admission.scene import Scene
from tests.unit.admission.settling import LastingStore
from tests.unit.admission.test_deposits import SLOT, Announced, Texts, _at_rest, _ended
from tests.unit.admission.usage_rules import rule, unnamed


@pytest.mark.parametrize(("lasts", "noted"), [(False, 0), (True, 1)])
async def test_an_answer_without_usage_costs_its_estimate_whenever_that_is_read(
    noted: int, *, lasts: bool
) -> None:
    """After a short request whose journal ends with the process, else before it passes."""
    store = LastingStore() if lasts else None
    it = Scene(limit=1000, estimates=Texts(), usage=rule(), journal=store)
    decision = await it.decide(body=KnownBody(b"400"))
    assert len(it.books.journal) == noted
    assert decision.permit is not None
    it.engine.attempt_ended(decision.permit, AttemptEnd.DONE, unnamed(40))
    await it.settler.close()
    assert it.store.used[SLOT] == 110
    assert _at_rest(it)


async def test_a_model_that_the_answer_does_not_name_is_that_of_the_request() -> None:
    """Also where the request is read only then."""

    class Models(Announced):
        def reading(
            self, rule: UsageRule, headers: Headers, body: bytes, limit: int
        ) -> Generator[None, None, Estimate]:
            yield
            return Estimate(0, None, body.decode())

    it = Scene(limit=1000, estimates=Models(), usage=rule(models=(("big", Decimal(5)),)))
    await _ended(it, await it.decide(body=KnownBody(b"big")), 8)
    assert it.store.used[SLOT] == 40


async def test_price_and_estimate_read_a_body_once() -> None:
    """It may be long, and its memory is counted at each reading."""
    body = KnownBody(b"17")
    once = ReadOnce(body)
    assert [await once.read(100), await once.read(100)] == [b"17", b"17"]
    assert await ReadOnce(KnownBody(b"9" * 200)).read(100) is None
