"""The ledger: cached denials, what is last known, and whom to believe."""

from __future__ import annotations

import pytest

from sidecar.admission.ledger import LATE_SECONDS, KnownQuota, Ledger, Witness
from sidecar.admission.moment import Moment
from sidecar.domain.model import Charge
from sidecar.domain.quota import UNLIMITED, Failed, FailureKind, Granted, Outcome, Refused
from tests.unit.admission.scene import NOW, ORG, RESOURCE, identity, quota

UNBOUND = quota(UNLIMITED, limit=UNLIMITED)


def _charge(amount: int = 1, org: str = ORG) -> Charge:
    return Charge(org, "acme-notes", RESOURCE, amount, "key", private=True)


def _at(seconds: float) -> Moment:
    return Moment(seconds, NOW + seconds)


def _learn(
    ledger: Ledger, outcome: Outcome, seconds: float = 0.0, witness: Witness | None = None
) -> Outcome:
    return ledger.learn(_charge(), outcome, _at(seconds), witness)


def _denied(ledger: Ledger, amount: int, seconds: float) -> Refused | None:
    return ledger.denial((ORG, RESOURCE), amount, identity(), _at(seconds))


def test_a_denial_covers_the_refused_amount_and_more_but_not_what_may_still_fit() -> None:
    """Three remain, five were refused: two may be asked for, four may not."""
    ledger = Ledger()
    ledger.learn(_charge(5), Refused(quota(3)), _at(0), None)
    assert [_denied(ledger, amount, 1.0) is not None for amount in (2, 3, 4, 5, 6)] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_the_last_answer_is_known_with_the_time_at_which_it_came() -> None:
    """Whatever its age; a failure is no answer."""
    ledger = Ledger()
    assert ledger.answer((ORG, RESOURCE)) is None
    _learn(ledger, Granted(quota(7)), 3.0)
    _learn(ledger, Failed(FailureKind.TIMEOUT), 4.0)
    assert ledger.answer((ORG, RESOURCE)) == KnownQuota(ORG, quota(7), NOW + 3.0)


@pytest.mark.parametrize(("reset_in", "lasts"), [(1000.0, 5.0), (2.0, 2.0)])
def test_a_denial_ends_after_five_seconds_or_with_its_period(reset_in: float, lasts: float) -> None:
    """A new month must not begin with an old refusal."""
    ledger = Ledger()
    _learn(ledger, Refused(quota(0, reset_at=NOW + reset_in)))
    assert _denied(ledger, 1, lasts - 0.1) is not None
    assert _denied(ledger, 1, lasts) is None


def test_a_denial_is_dropped_by_an_event() -> None:
    """A customer who has just paid does not wait."""
    ledger = Ledger()
    _learn(ledger, Refused(quota(0)))
    ledger.forget_denial(ORG, NOW + 1)
    assert _denied(ledger, 1, 1.0) is None


@pytest.mark.parametrize("resource", [None, RESOURCE])
def test_a_refusal_that_was_on_its_way_when_an_event_came_is_not_remembered(
    resource: str | None,
) -> None:
    """It was asked for before the customer paid; one that is asked for later is remembered."""
    ledger = Ledger()
    ledger.forget_denial(ORG, NOW + 1, resource)
    _learn(ledger, Refused(quota(0)), 1.5)
    assert _denied(ledger, 1, 1.6) is None
    _learn(ledger, Refused(quota(0)), 1 + LATE_SECONDS)
    assert _denied(ledger, 1, 1.1 + LATE_SECONDS) is not None


def test_an_event_of_another_resource_is_no_reason_to_forget() -> None:
    """A seat that came free makes no AI call possible."""
    ledger = Ledger()
    ledger.forget_denial(ORG, NOW, "seats")
    _learn(ledger, Refused(quota(0)), 0.5)
    assert _denied(ledger, 1, 0.6) is not None


def test_a_denial_is_dropped_by_a_later_token_that_affords_the_call() -> None:
    """The token was issued after the refusal, with a raised limit in it."""
    ledger = Ledger()
    _learn(ledger, Refused(quota(0)))
    raised = identity(snapshot=quota(75, limit=100), issued_at=NOW + 1)
    assert ledger.denial((ORG, RESOURCE), 1, raised, _at(2)) is None


def test_a_denial_is_not_dropped_by_an_older_token() -> None:
    """Its snapshot was taken before the units were spent."""
    ledger = Ledger()
    _learn(ledger, Refused(quota(0)))
    older = identity(snapshot=quota(20), issued_at=NOW - 100)
    assert ledger.denial((ORG, RESOURCE), 1, older, _at(2)) is not None


def test_a_denial_is_dropped_by_an_answer_that_affords_it() -> None:
    """The platform itself says there is room again."""
    ledger = Ledger()
    ledger.learn(_charge(5), Refused(quota(3)), _at(0), None)
    ledger.learn(_charge(1), Granted(quota(10)), _at(1), None)
    assert _denied(ledger, 5, 1.5) is None


def test_unlimited_is_believed_of_an_org_never_known_to_be_limited() -> None:
    """-1 is what unlimited looks like."""
    assert isinstance(_learn(Ledger(), Granted(UNBOUND)), Granted)


@pytest.mark.parametrize("known_by", ["answer", "token"])
def test_unlimited_is_not_believed_of_a_limited_org(known_by: str) -> None:
    """Conformance 36: by an earlier answer, or by the token's snapshot."""
    ledger = Ledger()
    witness = None
    if known_by == "answer":
        _learn(ledger, Granted(quota(5)))
    else:
        witness = Witness(limited=True, as_of=NOW - 60)
    assert _learn(ledger, Granted(UNBOUND), 1.0, witness) == Failed(FailureKind.DISGUISED)


def test_unlimited_is_believed_once_a_token_issued_since_says_so() -> None:
    """The auth host has it from another store than the one that is down."""
    ledger = Ledger()
    _learn(ledger, Granted(quota(5)))
    older, newer = (Witness(limited=False, as_of=NOW + at) for at in (-1, 1))
    assert isinstance(_learn(ledger, Granted(UNBOUND), 2.0, older), Failed)
    assert isinstance(_learn(ledger, Granted(UNBOUND), 2.0, newer), Granted)


def test_unlimited_is_believed_after_an_entitlement_event() -> None:
    """The platform said that the org's rights changed."""
    ledger = Ledger()
    _learn(ledger, Granted(quota(5)))
    ledger.note_entitlement_event(ORG, NOW + 1)
    assert isinstance(_learn(ledger, Granted(UNBOUND), 2.0), Granted)


def test_a_limit_that_was_on_its_way_when_an_event_came_does_not_outweigh_it() -> None:
    """It is the old one: a plan without limits would be taken for an outage. A later one counts."""
    ledger = Ledger()
    ledger.note_entitlement_event(ORG, NOW + 1)
    _learn(ledger, Granted(quota(5)), 1.5)
    assert isinstance(_learn(ledger, Granted(UNBOUND), 1.6), Granted)
    _learn(ledger, Granted(quota(5)), 1 + LATE_SECONDS)
    assert isinstance(_learn(ledger, Granted(UNBOUND), 1.1 + LATE_SECONDS), Failed)


@pytest.mark.parametrize(("made", "believed"), [(-LATE_SECONDS, False), (0.1 - LATE_SECONDS, True)])
def test_an_event_counts_from_when_it_was_made(made: float, *, believed: bool) -> None:
    """Sent again, it says nothing of a limit that was heard after it."""
    ledger = Ledger()
    _learn(ledger, Granted(quota(5)))
    ledger.note_entitlement_event(ORG, NOW + made)
    assert isinstance(_learn(ledger, Granted(UNBOUND), 1.0), Granted) is believed


def test_an_older_event_undoes_no_newer_one() -> None:
    """Deliveries may come in another order than the events were made in."""
    ledger = Ledger()
    _learn(ledger, Granted(quota(5)))
    ledger.note_entitlement_event(ORG, NOW + 1)
    ledger.note_entitlement_event(ORG, NOW - 100)
    assert isinstance(_learn(ledger, Granted(UNBOUND), 2.0), Granted)


def test_a_limit_that_a_later_token_names_counts_against_an_event() -> None:
    """The token was issued after the event."""
    ledger = Ledger()
    ledger.note_entitlement_event(ORG, NOW)
    later = Witness(limited=True, as_of=NOW + 1)
    assert isinstance(_learn(ledger, Granted(UNBOUND), 2.0, later), Failed)


def test_unlimited_is_believed_once_it_has_lasted_ten_minutes() -> None:
    """No outage of a store is taken to last for ever."""
    ledger = Ledger()
    _learn(ledger, Granted(quota(5)))
    assert isinstance(_learn(ledger, Granted(UNBOUND), 1.0), Failed)
    assert isinstance(_learn(ledger, Granted(UNBOUND), 600.9), Failed)
    assert isinstance(_learn(ledger, Granted(UNBOUND), 601.0), Granted)


def test_a_limited_answer_between_starts_the_ten_minutes_again() -> None:
    """A store that flaps has not lasted."""
    ledger = Ledger()
    _learn(ledger, Granted(quota(5)))
    _learn(ledger, Granted(UNBOUND), 1.0)
    _learn(ledger, Granted(quota(4)), 500.0)
    assert isinstance(_learn(ledger, Granted(UNBOUND), 700.0), Failed)


def test_once_believed_an_old_token_does_not_undo_it() -> None:
    """Another user's token, issued before the upgrade, still says limited."""
    ledger = Ledger()
    _learn(ledger, Granted(UNBOUND), 0.0, Witness(limited=False, as_of=NOW - 1))
    old = Witness(limited=True, as_of=NOW - 100)
    assert isinstance(_learn(ledger, Granted(UNBOUND), 1.0, old), Granted)


def test_a_token_that_does_not_say_when_it_was_issued_is_as_old_as_can_be() -> None:
    """It can testify to a limit, but never that an earlier answer is outdated."""
    witness = Witness.of(identity(snapshot=UNBOUND, issued_at=None), RESOURCE, NOW)
    assert witness == Witness(limited=False, as_of=0.0)


def test_a_token_from_the_future_does_not_outrank_every_later_answer() -> None:
    """A skewed clock at the issuer is no reason to believe it for ever."""
    witness = Witness.of(identity(snapshot=UNBOUND, issued_at=NOW + 1e6), RESOURCE, NOW)
    assert witness == Witness(limited=False, as_of=NOW)


def test_the_later_of_answer_and_token_is_last_known() -> None:
    """A token issued since the answer knows of a raised limit."""
    ledger = Ledger()
    _learn(ledger, Granted(quota(5)))
    older = identity(snapshot=quota(20), issued_at=NOW - 60)
    newer = identity(snapshot=quota(90, limit=100), issued_at=NOW + 10)
    known = [ledger.last_known((ORG, RESOURCE), who, NOW + 20) for who in (older, newer)]
    assert [k.units for k in known if k is not None] == [5, 90]


def test_ten_thousand_orgs_stay_within_the_capacity() -> None:
    """Conformance 45, for the ledger."""
    ledger = Ledger(capacity=100)
    for n in range(10_000):
        ledger.learn(_charge(org=f"org_{n}"), Granted(quota(5)), _at(n), None)
    assert len(ledger) == 100
    assert [known.org_id for known in ledger.known(2)] == ["org_9999", "org_9998"]
