"""A realtime connection's responses, each charged by itself."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from sidecar.admission.realtime import RealtimeCharges
from sidecar.domain.choices import Action, OnPlatformError
from sidecar.domain.credentials import IdentityFailure
from sidecar.domain.model import AttemptEnd, Decision, Headers, Reason
from sidecar.domain.usage import Estimate, HoldRule, OnMissing, Settled, Usage, UsageRule
from tests.fakes.admission import FixedIdentities, policy_of_pages
from tests.fakes.quotas import UnreachableQuotas
from tests.unit.admission.scene import ORG, RESOURCE, Scene, route
from tests.unit.admission.usage_rules import rule, unnamed, used

SLOT = (ORG, RESOURCE)


class Announced:
    """Estimates of what the events say: the most tokens of output, in digits."""

    def short(self, rule: UsageRule, body: bytes) -> Estimate | None:
        """Leave every body to `reading`."""

    def reading(
        self, rule: UsageRule, headers: Headers, body: bytes, limit: int
    ) -> Generator[None, None, Estimate]:
        """Read an event that is a number."""
        yield
        return Estimate(0, int(body), None)


async def connected(*, limit: int = 100, **meter: Any) -> tuple[Scene, RealtimeCharges]:
    """Admit a connection whose own deposit is a unit, and settle it by that."""
    it = Scene(limit=limit, estimates=Announced(), **{"usage": rule(), **meter})
    admitted = await it.decide()
    assert admitted.permit is not None
    charges = it.engine.realtime(admitted)
    it.engine.attempt_ended(admitted.permit, AttemptEnd.DONE, used(output=1))
    return it, charges


async def ended(it: Scene, decision: Decision, usage: Usage | None) -> None:
    """End a response that was admitted."""
    assert decision.permit is not None
    it.engine.attempt_ended(decision.permit, AttemptEnd.DONE, usage)
    await it.settler.close()


def at_rest(it: Scene) -> bool:
    """Whether nothing is held or owed."""
    return len(it.settlements.holds) == 0 and len(it.books.journal) == 0


async def test_each_response_has_a_deposit_and_a_settlement_of_its_own() -> None:
    """Under a request ID and a key of its own."""
    it, charges = await connected()
    decisions = [await charges.decide(turn, b"") for turn in (2, 3)]
    assert it.store.used[SLOT] == 3
    for decision in decisions:
        await ended(it, decision, used(output=10))
    assert it.store.used[SLOT] == 21
    assert [decision.request_id for decision in decisions] == ["generated-1.2", "generated-1.3"]
    assert at_rest(it)


async def test_neither_an_expired_token_nor_a_reload_ends_a_session() -> None:
    """It is charged as it was admitted."""
    it, charges = await connected()
    it.engine._identities = FixedIdentities(IdentityFailure.EXPIRED)
    it.policies.current = policy_of_pages({})
    assert (await charges.decide(2, None)).reason is Reason.WITHIN_QUOTA


async def test_what_an_event_announces_is_held() -> None:
    """And a response that does not fit is refused by it."""
    it, charges = await connected(usage=rule(hold=HoldRule((("max",),), 10, 1000)))
    assert (await charges.decide(2, b"50")).permit is not None
    assert it.settlements.holds.held(SLOT).units == 49
    refused = await charges.decide(3, b"60")
    assert (refused.reason, refused.passing) == (Reason.OVER_QUOTA, True)


async def test_a_response_that_ran_without_its_deposit_is_owed_whole() -> None:
    """From what remains of the quota; the rest is overrun."""
    it, charges = await connected(limit=30)
    for turn in (2, 3):
        await ended(it, await charges.decide(turn, None), used(output=14))
    it.store.limits[SLOT] = it.store.used[SLOT]
    assert (await charges.decide(4, None)).reason is Reason.OVER_QUOTA
    it.store.limits[SLOT] = 100
    charges.owe(4, used(output=20))
    await it.settler.close()
    assert it.store.used[SLOT] == 29 + 20
    assert at_rest(it)


async def test_what_the_quota_does_not_cover_of_it_is_overrun() -> None:
    """Once, and nothing is held afterwards."""
    it, charges = await connected(limit=1)
    assert (await charges.decide(2, None)).reason is Reason.OVER_QUOTA
    charges.owe(2, used(output=20))
    await it.settler.close()
    assert it.observer.of("units_settled") == [(RESOURCE, "chat", Settled.OVERRUN, 20)]
    assert at_rest(it)


@pytest.mark.parametrize(
    ("missing", "units"), [(OnMissing.AMOUNT, 1), (OnMissing.HOLD, 10), (OnMissing.ESTIMATE, 5)]
)
async def test_a_response_without_deposit_and_usage_is_owed_by_the_policy(
    missing: OnMissing, units: int
) -> None:
    """The deposit, the hold or the text, as of one whose deposit was paid."""
    usage = rule(missing=missing, hold=HoldRule((("max",),), 10, 1000))
    it, charges = await connected(usage=usage)
    charges.owe(2, unnamed(text_bytes=20))
    await it.settler.close()
    assert it.store.used[SLOT] == 1 + units
    assert at_rest(it)


async def test_an_outage_is_decided_by_the_policy() -> None:
    """As for any other call."""
    it, charges = await connected(on_platform_error=OnPlatformError.FAIL_CLOSED)
    it.platform.now = UnreachableQuotas()
    assert (await charges.decide(2, None)).reason is Reason.FAIL_CLOSED


async def test_a_connection_that_is_not_settled_by_usage_has_no_charges() -> None:
    """A fault of the caller."""
    it = Scene()
    with pytest.raises(ValueError, match="no call that is settled by usage"):
        it.engine.realtime(await it.decide())


async def test_a_route_that_loses_its_meter_meanwhile_opens_a_session_all_the_same() -> None:
    """By the policy that it was decided under, though another is in force by the handshake."""
    it = Scene(usage=rule())
    admitted = await it.decide()
    it.policies.current = policy_of_pages({"/chat": route("chat", None, Action.ALLOW)})
    charges = it.engine.realtime(admitted)
    await ended(it, await charges.decide(2, None), used(output=10))
    assert it.store.used[SLOT] == 1 + 10


@pytest.mark.parametrize("missing", OnMissing)
async def test_a_transcript_is_charged_without_a_deposit(missing: OnMissing) -> None:
    """By its tokens, else by its text, whatever a response without usage costs."""
    it, charges = await connected(usage=rule(missing=missing, hold=HoldRule((("max",),), 10, 1000)))
    charges.transcribed(used(13, 4))
    charges.transcribed(used(13, 4))
    charges.transcribed(unnamed(text_bytes=20))
    await it.settler.close()
    assert it.store.used[SLOT] == 1 + 2 * 17 + 5
    assert at_rest(it)


async def test_a_transcript_over_the_quota_refuses_the_next_response() -> None:
    """It has run, and is overrun."""
    it, charges = await connected(limit=10)
    charges.transcribed(used(50))
    await it.settler.close()
    assert it.store.used[SLOT] == 10
    assert (await charges.decide(2, None)).reason is Reason.OVER_QUOTA
