"""Every reason of the interface, produced through `Engine.decide`."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from sidecar.admission.journal_entries import Purpose
from sidecar.domain.choices import (
    Accuracy,
    Enforcement,
    ErrorFormat,
    OnOverQuota,
    OnPlatformError,
    OnReplay,
)
from sidecar.domain.credentials import IdentityFailure
from sidecar.domain.errors import NoRoomError
from sidecar.domain.model import AttemptEnd, Decision, Reason, Verdict
from sidecar.domain.quota import UNLIMITED, Failed, FailureKind
from sidecar.policy.amounts import ConstantAmount, HeaderAmount, JsonAmount, Scale
from sidecar.policy.compiled import FailOpenBudget
from sidecar.policy.json_pointer import JsonPointer
from tests.fakes.admission import KnownBody, UnreadableBody
from tests.fakes.quotas import AnswerLosingQuotas, DisguisedQuotas, UnreachableQuotas
from tests.unit.admission.scene import METER, ORG, RESOURCE, Scene, identity, quota, route

NOT_FROM_THE_ENGINE = {Reason.OVERLOADED, Reason.DRAINING}  # the frontends' own


async def _within_quota() -> Decision:
    return await Scene().decide()


async def _unlimited() -> Decision:
    return await Scene(limit=UNLIMITED).decide()


async def _leased() -> Decision:
    scene = Scene(limit=100_000, leases=True, accuracy=Accuracy.LEASE)
    await scene.decide()
    return await scene.decide()


async def _credited() -> Decision:
    scene = Scene()
    first = await scene.decide()
    assert first.permit is not None
    scene.engine.attempt_ended(first.permit, AttemptEnd.UNREACHED)
    return await scene.decide()


async def _unmetered() -> Decision:
    return await Scene().decide("/free")


async def _over_quota_allowed() -> Decision:
    return await Scene(limit=0, on_over_quota=OnOverQuota.ALLOW).decide()


async def _shadow() -> Decision:
    return await Scene(limit=0, enforcement=Enforcement.SHADOW).decide()


async def _fail_open() -> Decision:
    scene = Scene()
    scene.platform.now = UnreachableQuotas()
    return await scene.decide()


async def _last_known() -> Decision:
    scene = Scene(on_platform_error=OnPlatformError.LAST_KNOWN)
    scene.identities.who = identity(snapshot=quota(3))
    scene.platform.now = UnreachableQuotas()
    return await scene.decide()


async def _over_quota() -> Decision:
    return await Scene(limit=0).decide()


async def _blocked() -> Decision:
    return await Scene().decide("/blocked")


async def _unmatched() -> Decision:
    return await Scene().decide("/nowhere")


async def _unauthenticated() -> Decision:
    scene = Scene()
    scene.identities.who = IdentityFailure.EXPIRED
    return await scene.decide()


async def _identity_unavailable() -> Decision:
    scene = Scene()
    scene.identities.who = IdentityFailure.KEYS_UNAVAILABLE
    return await scene.decide()


async def _not_entitled() -> Decision:
    scene = Scene()
    scene.identities.who = replace(identity(), apps=frozenset({"other"}))
    return await scene.decide()


async def _replayed() -> Decision:
    scene = Scene(replay=OnReplay.REJECT)
    first = await scene.decide(request_id="once")
    assert first.permit is not None
    scene.engine.attempt_ended(first.permit, AttemptEnd.DONE)
    return await scene.decide(request_id="once")


async def _fail_closed() -> Decision:
    scene = Scene(on_platform_error=OnPlatformError.FAIL_CLOSED)
    scene.platform.now = UnreachableQuotas()
    return await scene.decide()


async def _fail_open_spent() -> Decision:
    scene = Scene(fail_open_budget=FailOpenBudget(0, 900.0))
    scene.platform.now = UnreachableQuotas()
    return await scene.decide()


async def _bad_request() -> Decision:
    return await Scene().decide("/free/..%2f..%2fchat")


SCENES: dict[Reason, tuple[Any, int]] = {
    Reason.WITHIN_QUOTA: (_within_quota, 0),
    Reason.UNLIMITED: (_unlimited, 0),
    Reason.LEASED: (_leased, 0),
    Reason.CREDITED: (_credited, 0),
    Reason.UNMETERED: (_unmetered, 0),
    Reason.OVER_QUOTA_ALLOWED: (_over_quota_allowed, 0),
    Reason.SHADOW: (_shadow, 0),
    Reason.FAIL_OPEN: (_fail_open, 0),
    Reason.LAST_KNOWN: (_last_known, 0),
    Reason.OVER_QUOTA: (_over_quota, 429),
    Reason.BLOCKED: (_blocked, 403),
    Reason.UNMATCHED: (_unmatched, 403),
    Reason.UNAUTHENTICATED: (_unauthenticated, 401),
    Reason.IDENTITY_UNAVAILABLE: (_identity_unavailable, 503),
    Reason.NOT_ENTITLED: (_not_entitled, 403),
    Reason.REPLAYED: (_replayed, 409),
    Reason.FAIL_CLOSED: (_fail_closed, 503),
    Reason.FAIL_OPEN_SPENT: (_fail_open_spent, 503),
    Reason.BAD_REQUEST: (_bad_request, 400),
}


@pytest.mark.parametrize("reason", sorted(set(Reason) - NOT_FROM_THE_ENGINE))
async def test_each_reason_has_a_scene_its_status_and_a_permit_only_when_allowed(
    reason: Reason,
) -> None:
    """The interface's table of reasons, row by row."""
    scene, status = SCENES[reason]
    decision = await scene()
    assert (decision.reason, decision.status) == (reason, status)
    assert (decision.permit is not None) == (reason.verdict is Verdict.ALLOW)


async def test_a_granted_call_carries_its_charge_its_quota_and_its_units() -> None:
    """What refusals, headers and metrics are made from is on the decision."""
    scene = Scene(amount=ConstantAmount(3))
    decision = await scene.decide()
    assert decision.charge is not None
    assert (decision.charge.amount, decision.charge.org_id) == (3, ORG)
    assert decision.quota == quota(22)
    assert decision.errors is ErrorFormat.OPENAI
    assert scene.observer.of("units_admitted") == [(RESOURCE, "chat", Reason.WITHIN_QUOTA, 3)]


async def test_an_unmetered_call_is_identified_without_waiting_and_a_failure_is_ignored() -> None:
    """The product learns who calls when the keys at hand can tell, and never at a price."""
    scene = Scene()
    scene.identities.who = IdentityFailure.KEYS_UNAVAILABLE
    decision = await scene.decide("/free")
    assert decision.identity is None
    assert scene.identities.waits == [False]
    assert scene.observer.told == []


async def test_an_unauthenticated_call_says_what_was_wrong_with_its_credential() -> None:
    """The refusal's challenge tells no token from a bad one."""
    scene = Scene()
    scene.identities.who = IdentityFailure.BAD_SIGNATURE
    decision = await scene.decide()
    assert decision.identity_failure is IdentityFailure.BAD_SIGNATURE


async def test_a_denial_is_remembered_and_not_asked_again() -> None:
    """A refused org costs the platform one question in five seconds."""
    scene = Scene(limit=0)
    for _ in range(3):
        assert (await scene.decide()).reason is Reason.OVER_QUOTA
    assert len(scene.honest.asked) == 1
    scene.clock.advance(5.1)
    await scene.decide()
    assert len(scene.honest.asked) == 2


async def test_over_quota_says_when_to_come_back_within_a_day() -> None:
    """Retry-After is bounded: a limit may be raised long before its month ends."""
    decision = await Scene(limit=0).decide()
    assert decision.retry_after == 86_400
    assert decision.quota is not None


async def test_a_denied_call_with_a_cached_denial_uses_no_attempt_of_the_platform() -> None:
    """The same ID tried again after a denial is a new attempt with a new key."""
    scene = Scene(limit=0)
    first = await scene.decide(request_id="r")
    scene.clock.advance(6)
    second = await scene.decide(request_id="r")
    assert first.charge is not None
    assert second.charge is not None
    assert first.charge.key != second.charge.key


@pytest.mark.parametrize(
    ("amount", "body", "status"),
    [
        (JsonAmount(JsonPointer.parse("/n"), Scale()), b"x" * 2000, 413),
        (JsonAmount(JsonPointer.parse("/n"), Scale()), b'{"n":-1}', 422),
        (HeaderAmount(b"x-units", Scale()), b"", 422),
    ],
)
async def test_a_price_that_cannot_be_read_is_a_bad_request(
    amount: Any, body: bytes, status: int
) -> None:
    """413 for a body too long to price, 422 for an amount that makes no sense; no consume."""
    scene = Scene(amount=amount)
    decision = await scene.decide(body=KnownBody(body))
    assert (decision.reason, decision.status) == (Reason.BAD_REQUEST, status)
    assert scene.honest.asked == []


@pytest.mark.parametrize("enforcement", Enforcement)
async def test_a_body_without_room_is_refused_as_overloaded(enforcement: Enforcement) -> None:
    """503, and no consume; in shadow too, since a part of the body may be lost."""
    amount = JsonAmount(JsonPointer.parse("/n"), Scale())
    scene = Scene(amount=amount, enforcement=enforcement)
    decision = await scene.decide(body=UnreadableBody(NoRoomError()))
    assert (decision.reason, decision.status) == (Reason.OVERLOADED, 503)
    assert (decision.route, decision.retry_after) == ("chat", 1.0)
    assert scene.honest.asked == []


async def test_a_body_is_not_read_unless_it_sets_the_price() -> None:
    """A constant amount streams its body."""
    body = KnownBody(b"{}")
    await Scene().decide(body=body)
    assert body.reads == 0


async def test_a_call_of_no_units_passes_without_a_question() -> None:
    """Amount 0 is the policy's word that the call is free, whatever remains."""
    scene = Scene(limit=0, amount=ConstantAmount(0))
    decision = await scene.decide()
    assert (decision.reason, decision.charge) == (Reason.WITHIN_QUOTA, None)
    assert scene.honest.asked == []


async def test_a_caller_that_goes_away_while_its_body_is_read_leaves_nothing() -> None:
    """Aborted before the verdict: no claim, no consume."""
    scene = Scene(amount=JsonAmount(JsonPointer.parse("/n"), Scale()))
    with pytest.raises(asyncio.CancelledError):
        await scene.decide(request_id="r", body=UnreadableBody(asyncio.CancelledError()))
    assert len(scene.books.replays) == 0
    assert scene.honest.asked == []


async def test_the_constructors_product_overrules_the_policys() -> None:
    """One policy file may serve several products."""
    scene = Scene()
    scene.engine._product = "other"
    assert (await scene.decide()).reason is Reason.NOT_ENTITLED


async def test_unmetered_credited_and_cached_denials_do_not_suspend() -> None:
    """What the books can tell is decided before the coroutine first yields."""

    def finish(scene: Scene, path: str = "/chat") -> Decision:
        try:
            scene.engine.decide(scene.call(path), KnownBody()).send(None)
        except StopIteration as stop:
            decision = stop.value
            assert isinstance(decision, Decision)
            return decision
        raise AssertionError("decide suspended")

    scene = Scene()
    charge_slot = (ORG, RESOURCE)
    scene.books.credits.add(charge_slot, 1, scene.store.reset_at, scene.clock.time())
    denying = Scene(limit=0)
    await _decide_once(denying)
    assert finish(scene, "/free").reason is Reason.UNMETERED
    reading = Scene(amount=JsonAmount(JsonPointer.parse("/n"), Scale(default=1)))
    reading.books.credits.add(charge_slot, 1, scene.store.reset_at, scene.clock.time())
    assert finish(reading).reason is Reason.CREDITED
    assert finish(scene).reason is Reason.CREDITED
    assert finish(denying).reason is Reason.OVER_QUOTA


async def _decide_once(scene: Scene) -> None:
    await scene.decide()


@pytest.mark.parametrize("kind", sorted(set(FailureKind) - {FailureKind.OVERLOADED}))
@pytest.mark.parametrize("on_error", sorted(OnPlatformError))
async def test_each_failure_follows_the_policy(
    kind: FailureKind, on_error: OnPlatformError
) -> None:
    """Conformance 35: whatever the platform does, the policy decides; and it is counted."""
    scene = Scene(on_platform_error=on_error)
    scene.platform.now = UnreachableQuotas(kind)
    decision = await scene.decide()
    assert (
        decision.reason
        is {
            OnPlatformError.FAIL_OPEN: Reason.FAIL_OPEN,
            OnPlatformError.FAIL_CLOSED: Reason.FAIL_CLOSED,
            OnPlatformError.LAST_KNOWN: Reason.FAIL_CLOSED,  # nothing is known
        }[on_error]
    )
    assert decision.quota is None
    assert scene.observer.of("platform_degraded") == [(kind,)]


@pytest.mark.parametrize("on_error", sorted(OnPlatformError))
async def test_our_own_lateness_opens_nothing(on_error: OnPlatformError) -> None:
    """It is no failure of the platform, and the unit that may have been counted comes back."""
    scene = Scene(on_platform_error=on_error)
    scene.platform.now = UnreachableQuotas(FailureKind.OVERLOADED)
    decision = await scene.decide()
    assert (decision.reason, decision.status) == (Reason.OVERLOADED, 503)
    assert decision.retry_after == 1.0
    assert scene.observer.of("platform_degraded") == []
    assert [entry.purpose for entry in scene.books.journal.entries()] == [Purpose.RECLAIM]


async def test_fail_open_stops_at_its_units_and_is_renewed_by_an_answer() -> None:
    """The budget bounds an outage, not the day."""
    scene = Scene(fail_open_budget=FailOpenBudget(2, 900.0))
    down = UnreachableQuotas()
    scene.platform.now = down
    reasons = [(await scene.decide()).reason for _ in range(3)]
    assert reasons == [Reason.FAIL_OPEN, Reason.FAIL_OPEN, Reason.FAIL_OPEN_SPENT]
    scene.platform.now = scene.honest
    assert (await scene.decide()).reason is Reason.WITHIN_QUOTA
    scene.platform.now = down
    assert (await scene.decide()).reason is Reason.FAIL_OPEN
    assert [words[-1] for words in scene.observer.of("admitted_unconfirmed")].count(True) == 2


async def test_fail_open_stops_after_its_seconds() -> None:
    """An outage that lasts closes the route even to the first units of its budget."""
    scene = Scene(fail_open_budget=FailOpenBudget(1000, 60.0))
    scene.platform.now = UnreachableQuotas()
    assert (await scene.decide()).reason is Reason.FAIL_OPEN
    scene.clock.advance(60)
    assert (await scene.decide()).reason is Reason.FAIL_OPEN_SPENT


async def test_what_failed_open_is_in_the_journal_before_the_decision_under_its_key() -> None:
    """Rules that hold, 2."""
    scene = Scene()
    scene.platform.now = UnreachableQuotas()
    decision = await scene.decide()
    assert decision.charge is not None
    assert decision.charge.key in scene.books.journal
    assert scene.books.journal.units == 1


async def test_last_known_counts_down_what_it_lets_through() -> None:
    """Three units were left: the fourth call is over quota, by what is known."""
    scene = Scene(on_platform_error=OnPlatformError.LAST_KNOWN, limit=4)
    await scene.decide()
    scene.platform.now = UnreachableQuotas()
    reasons = [(await scene.decide()).reason for _ in range(4)]
    assert reasons == [Reason.LAST_KNOWN] * 3 + [Reason.OVER_QUOTA]


async def test_last_known_is_the_limit_again_once_the_period_has_ended() -> None:
    """A new month gives the whole limit."""
    scene = Scene(on_platform_error=OnPlatformError.LAST_KNOWN, limit=1)
    await scene.decide()
    scene.platform.now = UnreachableQuotas()
    assert (await scene.decide()).reason is Reason.OVER_QUOTA
    scene.clock.advance(21 * 86_400)
    assert (await scene.decide()).reason is Reason.LAST_KNOWN


async def test_a_failed_refusal_that_may_have_been_counted_is_settled_later() -> None:
    """Counted, answer lost, refused: the charge is owed back, so it goes to the journal."""
    scene = Scene(on_platform_error=OnPlatformError.FAIL_CLOSED)
    scene.platform.now = AnswerLosingQuotas(scene.store)
    decision = await scene.decide()
    assert decision.reason is Reason.FAIL_CLOSED
    assert scene.books.journal.pending == 1


async def test_a_disguised_answer_is_a_failure_with_its_own_kind_and_no_headers() -> None:
    """Conformance 36: `limit:-1` for an org known to be limited."""
    scene = Scene()
    await scene.decide()
    scene.platform.now = DisguisedQuotas(scene.store)
    decision = await scene.decide()
    assert (decision.reason, decision.quota) == (Reason.FAIL_OPEN, None)
    assert scene.observer.of("platform_degraded") == [(FailureKind.DISGUISED,)]


@pytest.mark.parametrize(
    "refusal",
    sorted(
        {
            Reason.OVER_QUOTA,
            Reason.UNAUTHENTICATED,
            Reason.NOT_ENTITLED,
            Reason.REPLAYED,
            Reason.FAIL_CLOSED,
            Reason.FAIL_OPEN_SPENT,
        }
    ),
)
async def test_shadow_lets_through_what_it_would_refuse(
    refusal: Reason, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decide and count, but let through: no answer of the product changes in the trial."""
    monkeypatch.setattr(
        "tests.unit.admission.scene.METER", replace(METER, enforcement=Enforcement.SHADOW)
    )
    scene, _ = SCENES[refusal]
    decision = await scene()
    assert decision.reason is Reason.SHADOW
    assert refusal in decision.detail


async def test_shadow_still_refuses_what_could_be_read_in_two_ways() -> None:
    """An unsafe path is refused before any route, and so any shadow, is known."""
    decision = await Scene(enforcement=Enforcement.SHADOW).decide("/free/..%2f..%2fchat")
    assert decision.reason is Reason.BAD_REQUEST


async def test_shadow_lets_a_price_that_cannot_be_read_through() -> None:
    """The first week must not answer 413 or 422 either."""
    scene = Scene(
        enforcement=Enforcement.SHADOW, amount=JsonAmount(JsonPointer.parse("/n"), Scale())
    )
    for body in (b"x" * 2000, b'{"n":-1}'):
        assert (await scene.decide(body=KnownBody(body))).reason is Reason.SHADOW


async def test_shadow_reports_what_the_platform_did_not_answer() -> None:
    """It is executed, so it is owed."""
    scene = Scene(enforcement=Enforcement.SHADOW, on_platform_error=OnPlatformError.FAIL_CLOSED)
    scene.platform.now = UnreachableQuotas()
    decision = await scene.decide()
    assert decision.reason is Reason.SHADOW
    assert scene.books.journal.units == 1


async def test_over_quota_allowed_by_what_is_known_is_reported() -> None:
    """Nobody refused this call yet: the platform is to say whether it counts."""
    scene = Scene(
        on_platform_error=OnPlatformError.LAST_KNOWN, on_over_quota=OnOverQuota.ALLOW, limit=0
    )
    scene.identities.who = identity(snapshot=quota(0))
    scene.platform.now = UnreachableQuotas()
    decision = await scene.decide()
    assert decision.reason is Reason.OVER_QUOTA_ALLOWED
    assert scene.books.journal.units == 1


async def test_a_deny_status_of_the_policy_is_used_over_quota() -> None:
    """Some clients know 402 and not 429."""
    assert (await Scene(limit=0, deny_status=402).decide()).status == 402


def test_the_scenes_use_the_real_meter() -> None:
    """A meter with a field that no scene sets would go untested here."""
    assert route("chat", METER).meter is METER
    assert Failed(FailureKind.TIMEOUT).kind.result_unknown
