"""Whether a call's worst case fits beside those of the calls under way."""

from __future__ import annotations

from sidecar.admission.findings import ShortOfHold
from sidecar.admission.holds import HoldState
from sidecar.admission.reservations import FRESH_SECONDS, Fits, Reservations
from sidecar.domain.model import Charge
from sidecar.domain.quota import Granted, Quota
from sidecar.domain.usage import Terms
from tests.fakes.quotas import RESET_AT
from tests.unit.admission.settling import ORG, RESOURCE, SLOT, Desk
from tests.unit.admission.usage_rules import HOLD, rule, terms


def quota(remaining: int, *, limit: int = 100, reset_at: float = RESET_AT) -> Quota:
    """Make an answer of the platform."""
    used = 0 if limit < 0 else limit - remaining
    return Quota(RESOURCE, limit, used, remaining, "month", reset_at)


class Counter:
    """Reservations over the books of a desk."""

    def __init__(self, *, capacity: int = 10) -> None:
        self.desk = Desk()
        self.reservations = Reservations(
            books=self.desk.books, holds=self.desk.holds, capacity=capacity
        )
        self._serial = 0

    def begin(self, hold: int) -> tuple[Charge, Terms, ShortOfHold | Fits]:
        """Begin a call of one unit with a hold."""
        self._serial += 1
        charge = Charge(ORG, "acme-notes", RESOURCE, 1, f"call {self._serial}", True)
        of = terms(hold=hold)
        return charge, of, self.reservations.begin(charge, of, self.desk.now)

    def answer(self, charge: Charge, of: Terms, answered: Quota) -> ShortOfHold | None:
        """Learn the platform's answer to a deposit, and check it."""
        self.desk.books.learn(charge, Granted(answered), self.desk.now, None)
        return self.reservations.confirm(charge, of, answered, self.desk.now)

    def admit(self, hold: int, answered: Quota) -> ShortOfHold | None:
        """Begin a call, and have it answered."""
        charge, of, begun = self.begin(hold)
        assert isinstance(begun, Fits)
        return self.answer(charge, of, answered)


def test_calls_are_admitted_as_long_as_their_holds_fit() -> None:
    """Three of 30 fit into 99, and the fourth not: without asking the platform."""
    counter = Counter()
    assert [counter.admit(30, quota(n)) for n in (99, 98, 97)] == [None] * 3
    charge, _, begun = counter.begin(30)
    assert begun == ShortOfHold(Quota(RESOURCE, 100, 3, 7, "month", RESET_AT))
    assert counter.desk.holds.state(charge.key) is HoldState.ABSENT


def test_of_calls_at_once_none_counts_on_units_of_another() -> None:
    """All were begun before any answer; the answers admit as many as fit."""
    counter = Counter()
    begun = [counter.begin(30) for _ in range(6)]
    answers = [counter.answer(c, of, quota(99 - n)) for n, (c, of, _) in enumerate(begun)]
    assert [answer is None for answer in answers] == [True, True, True, False, False, False]
    assert counter.desk.holds.held(SLOT).units == 90


def test_an_answer_that_was_overtaken_counts_as_the_later_one() -> None:
    """95 were said to be left before 35."""
    counter = Counter()
    first, second = counter.begin(40), counter.begin(40)
    assert isinstance(counter.answer(*second[:2], quota(35)), ShortOfHold)
    assert isinstance(counter.answer(*first[:2], quota(95)), ShortOfHold)


def test_what_is_known_for_long_refuses_no_call_by_itself() -> None:
    """The platform is asked, whatever was paid before."""
    counter = Counter()
    counter.admit(0, quota(20))
    counter.desk.clock.advance(FRESH_SECONDS)
    _, _, begun = counter.begin(30)
    assert begun == Fits(ask=True, reserved=30)


def test_credits_and_leases_count_as_free() -> None:
    """They were paid, and pay for what the call will owe."""
    counter = Counter()
    counter.admit(0, quota(20))
    counter.desk.books.credits.add(SLOT, 11, RESET_AT, counter.desk.clock.time())
    _, _, begun = counter.begin(30)
    assert isinstance(begun, Fits)


def test_without_an_answer_all_calls_begin() -> None:
    """Nothing is known of the org."""
    assert isinstance(Counter().begin(10**6)[2], Fits)


def test_a_period_that_has_ended_refuses_nothing() -> None:
    """What was left of it says nothing."""
    counter = Counter()
    counter.admit(0, quota(0, reset_at=counter.desk.clock.time() + 1))
    counter.desk.clock.advance(2.0)
    assert isinstance(counter.begin(30)[2], Fits)


def test_an_unlimited_org_is_never_held() -> None:
    """Neither before the answer nor after it."""
    counter = Counter()
    assert counter.admit(30, quota(-1, limit=-1)) is None
    assert counter.desk.holds.held(SLOT).units == 0
    assert isinstance(counter.begin(10**9)[2], Fits)


def test_a_call_without_a_hold_leaves_what_another_holds() -> None:
    """Its route has none: it is refused before its deposit, or by the answer to that."""
    counter = Counter()
    late, of, begun = counter.begin(0)
    assert isinstance(begun, Fits)
    counter.admit(15, quota(20))
    assert isinstance(counter.answer(late, of, quota(14)), ShortOfHold)
    assert isinstance(counter.begin(0)[2], ShortOfHold)


def test_a_call_that_is_not_settled_leaves_what_others_hold() -> None:
    """At other replicas too; an old answer makes it ask the platform."""
    counter = Counter()
    plain = Charge(ORG, "acme-notes", RESOURCE, 5, "plain", True)
    assert counter.reservations.beside(plain, 0, counter.desk.now) == Fits(ask=False, reserved=0)
    counter.admit(10, quota(20))
    assert counter.reservations.beside(plain, 0, counter.desk.now) == Fits(ask=False, reserved=10)
    short = counter.reservations.beside(plain, 6, counter.desk.now)
    assert short == ShortOfHold(Quota(RESOURCE, 100, 80, 4, "month", RESET_AT))
    counter.desk.clock.advance(FRESH_SECONDS)
    assert counter.reservations.beside(plain, 6, counter.desk.now) == Fits(ask=True, reserved=16)


def test_the_answer_to_a_call_that_is_not_settled_shows_whose_units_it_took() -> None:
    """Only where others hold any."""
    counter = Counter()
    plain = Charge(ORG, "acme-notes", RESOURCE, 5, "plain", True)
    assert counter.reservations.leaves(plain, quota(0), 0, counter.desk.now) is None
    counter.admit(10, quota(20))
    assert counter.reservations.leaves(plain, quota(10), 0, counter.desk.now) is None
    assert isinstance(
        counter.reservations.leaves(plain, quota(10), 1, counter.desk.now), ShortOfHold
    )


def test_answers_of_other_orgs_do_not_fill_the_memory() -> None:
    """The one used longest ago is asked about again."""
    counter = Counter(capacity=1)
    counter.admit(0, quota(20))
    other = Charge("other", "acme-notes", RESOURCE, 1, "other", True)
    counter.reservations.begin(other, terms(), counter.desk.now)
    counter.reservations.confirm(other, terms(), quota(20), counter.desk.now)
    assert counter.begin(30)[2] == Fits(ask=True, reserved=30)


def test_a_deposit_does_not_take_what_another_call_holds() -> None:
    """Its own hold is 0: it is refused before the deposit and after it."""
    counter = Counter()
    held = terms(rule(hold=HOLD))
    late = Charge(ORG, "acme-notes", RESOURCE, 1, "late", True)
    counter.reservations.begin(late, held, counter.desk.now)
    assert counter.admit(9, quota(9)) is None
    assert isinstance(counter.answer(late, held, quota(8)), ShortOfHold)
    next_ = Charge(ORG, "acme-notes", RESOURCE, 1, "next", True)
    assert isinstance(counter.reservations.begin(next_, held, counter.desk.now), ShortOfHold)


def test_a_deposit_alone_is_refused_by_the_platform_only() -> None:
    """Nothing is held: a plan that was raised is found at once."""
    counter = Counter()
    held = terms(rule(hold=HOLD))
    assert counter.admit(0, quota(0)) is None
    charge = Charge(ORG, "acme-notes", RESOURCE, 1, "late", True)
    assert isinstance(counter.reservations.begin(charge, held, counter.desk.now), Fits)
