"""The breaker, step by step and at random."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sidecar.domain.quota import FailureKind
from sidecar.platform.breaker import (
    Breaker,
    BreakerMisuseError,
    BreakerState,
    Ticket,
    counts_against,
)


def breaker() -> Breaker:
    """Make a breaker of the usual numbers, without chance."""
    return Breaker(jitter=lambda: 1.0)


def is_steady(subject: Breaker) -> bool:
    """Return whether a call that went well is no news."""
    return subject.steady


def allowed(subject: Breaker, now: float) -> Ticket:
    """Take a ticket that must be there."""
    ticket = subject.allow(now)
    assert ticket is not None
    return ticket


def state_of(subject: Breaker) -> BreakerState:
    """Return the state; a call, so that a type checker does not take it for unchanged."""
    return subject.state


def fail(subject: Breaker, times: int, now: float = 0.0) -> None:
    """Let so many calls fail in a row."""
    for _ in range(times):
        subject.record(allowed(subject, now), ok=False, now=now)


def test_closed_lets_all_through() -> None:
    """A closed breaker is in nobody's way."""
    subject = breaker()
    tickets = [allowed(subject, 0.0) for _ in range(100)]
    assert state_of(subject) is BreakerState.CLOSED
    assert len(tickets) == 100


def test_opens_after_five_failures_in_a_row() -> None:
    """The fifth failure in a row opens, the fourth does not."""
    subject = breaker()
    fail(subject, 4)
    assert state_of(subject) is BreakerState.CLOSED
    fail(subject, 1)
    assert state_of(subject) is BreakerState.OPEN
    assert subject.allow(0.5) is None


def test_success_starts_the_count_anew() -> None:
    """Failures with a success between them are not in a row."""
    subject = breaker()
    fail(subject, 4)
    subject.record(allowed(subject, 0.0), ok=True, now=0.0)
    fail(subject, 4)
    assert state_of(subject) is BreakerState.CLOSED


def test_one_probe_after_the_pause() -> None:
    """When the pause is over exactly one call goes through, from that very instant."""
    subject = breaker()
    fail(subject, 5, now=10.0)
    assert subject.allow(10.999) is None
    assert allowed(subject, 11.0).probe
    assert state_of(subject) is BreakerState.HALF
    assert subject.allow(11.0) is None
    assert subject.allow(100.0) is None


def test_good_probe_closes() -> None:
    """A probe that goes well closes the breaker, and the count begins at nought."""
    subject = breaker()
    fail(subject, 5)
    subject.record(allowed(subject, 1.0), ok=True, now=1.2)
    assert state_of(subject) is BreakerState.CLOSED
    fail(subject, 4, now=2.0)
    assert state_of(subject) is BreakerState.CLOSED


def test_bad_probes_double_the_pause_up_to_a_bound() -> None:
    """Each failed probe waits twice as long, 15 s at most."""
    subject = breaker()
    fail(subject, 5)
    now = 0.0
    for pause in [1.0, 2.0, 4.0, 8.0, 15.0, 15.0]:
        assert subject.allow(now + pause - 0.001) is None
        now += pause
        subject.record(allowed(subject, now), ok=False, now=now)
        assert state_of(subject) is BreakerState.OPEN


def test_pause_starts_anew_after_a_recovery() -> None:
    """A breaker that was closed for a while opens for one second again."""
    subject = breaker()
    fail(subject, 5)
    subject.record(allowed(subject, 1.0), ok=False, now=1.0)
    subject.record(allowed(subject, 3.0), ok=True, now=3.0)
    fail(subject, 5, now=10.0)
    assert subject.allow(10.999) is None
    assert allowed(subject, 11.0).probe


def test_jitter_shortens_the_pause() -> None:
    """A pause is multiplied by what chance yields."""
    subject = Breaker(jitter=lambda: 0.75)
    fail(subject, 5)
    assert subject.allow(0.749) is None
    assert allowed(subject, 0.75).probe


def test_cancelled_probe_frees_its_place() -> None:
    """A probe whose caller went away tells nothing, and the next call is the probe."""
    subject = breaker()
    fail(subject, 5)
    subject.release(allowed(subject, 1.0))
    assert state_of(subject) is BreakerState.HALF
    assert allowed(subject, 1.0).probe
    assert subject.allow(1.0) is None


def test_cancelled_call_changes_nothing() -> None:
    """A cancelled call is neither a success nor a failure."""
    subject = breaker()
    fail(subject, 4)
    subject.release(allowed(subject, 0.0))
    assert state_of(subject) is BreakerState.CLOSED
    fail(subject, 1)
    assert state_of(subject) is BreakerState.OPEN


@pytest.mark.parametrize("ok", [True, False])
def test_late_ends_are_no_news(*, ok: bool) -> None:
    """A call let through before the breaker opened changes nothing when it ends after."""
    subject = breaker()
    while_open, while_half, after = (allowed(subject, 0.0) for _ in range(3))
    fail(subject, 5)
    subject.record(while_open, ok=ok, now=0.5)
    assert state_of(subject) is BreakerState.OPEN
    probe = allowed(subject, 1.0)
    subject.record(while_half, ok=ok, now=1.0)
    assert state_of(subject) is BreakerState.HALF
    subject.record(probe, ok=True, now=1.0)
    subject.record(after, ok=ok, now=1.0)
    assert state_of(subject) is BreakerState.CLOSED


def test_late_failures_do_not_count() -> None:
    """Failures from before the breaker opened do not open it again once it has closed."""
    subject = breaker()
    late = [allowed(subject, 0.0) for _ in range(10)]
    fail(subject, 5)
    subject.record(allowed(subject, 1.0), ok=True, now=1.0)
    for ticket in late:
        subject.record(ticket, ok=False, now=1.1)
    assert state_of(subject) is BreakerState.CLOSED


def test_a_probe_is_given_back_once() -> None:
    """A probe given back twice is a fault of the caller, and is told."""
    subject = breaker()
    fail(subject, 5)
    probe = allowed(subject, 1.0)
    subject.release(probe)
    with pytest.raises(BreakerMisuseError, match="twice"):
        subject.record(probe, ok=True, now=1.0)
    with pytest.raises(BreakerMisuseError, match="twice"):
        subject.release(probe)


def test_a_breaker_is_steady_while_nothing_has_failed() -> None:
    """Then a call that went well is no news, and need not be recorded."""
    subject = breaker()
    assert is_steady(subject)
    fail(subject, 1)
    assert not is_steady(subject)
    subject.record(allowed(subject, 0.0), ok=True, now=0.0)
    assert is_steady(subject)
    fail(subject, 5)
    assert not is_steady(subject)
    subject.record(allowed(subject, 1.0), ok=True, now=1.0)
    assert is_steady(subject)


@pytest.mark.parametrize(("state", "number"), [("CLOSED", 0), ("HALF", 1), ("OPEN", 2)])
def test_numbers_of_the_metric(state: str, number: int) -> None:
    """The metric's numbers are those of the interface."""
    assert BreakerState[state] == number


@pytest.mark.parametrize("kind", FailureKind)
def test_which_failures_count(kind: FailureKind) -> None:
    """Illness counts; being told no does not."""
    ill = {
        FailureKind.CONNECT,
        FailureKind.TIMEOUT,
        FailureKind.RESET,
        FailureKind.RATE_LIMITED,
        FailureKind.SERVER_ERROR,
        FailureKind.UNEXPECTED_STATUS,
        FailureKind.MALFORMED,
    }
    assert counts_against(kind) is (kind in ill)


class AnyOrder(RuleBasedStateMachine):
    """Calls that begin, end and are cancelled in any order, over time that only grows."""

    def __init__(self) -> None:
        super().__init__()
        self.subject = breaker()
        self.now = 0.0
        self.out: list[Ticket] = []

    @rule(seconds=st.floats(0, 20))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    @rule()
    def ask(self) -> None:
        """Begin a call if there is leave."""
        ticket = self.subject.allow(self.now)
        if ticket is not None:
            self.out.append(ticket)

    @precondition(lambda self: self.out)
    @rule(data=st.data(), ok=st.booleans())
    def end(self, data: st.DataObject, *, ok: bool) -> None:
        """End a call."""
        self.subject.record(self._take(data), ok=ok, now=self.now)

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """Cancel a call."""
        self.subject.release(self._take(data))

    def _take(self, data: st.DataObject) -> Ticket:
        return self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))

    @invariant()
    def at_most_one_probe(self) -> None:
        """Of the calls that are out, at most one is a probe of the present."""
        probes = [ticket for ticket in self.out if ticket is self.subject._probe]
        assert len(probes) <= 1
        assert (self.subject._probe is not None) == bool(probes)

    @invariant()
    def never_stuck(self) -> None:
        """However it came here, a call will have leave in 15 s, unless a probe is out."""
        if self.subject._probe is None and self.subject.state is BreakerState.OPEN:
            assert self.subject._probe_at <= self.now + 15


test_any_order = AnyOrder.TestCase


def test_due_says_whether_the_next_call_is_let_through_and_changes_nothing() -> None:
    """Readiness goes by it: traffic must come in for a probe to happen."""
    subject = breaker()
    assert subject.due(0.0)
    fail(subject, 5)
    assert not subject.due(0.5)
    assert subject.due(1.0)
    assert state_of(subject) is BreakerState.OPEN
    probe = allowed(subject, 1.0)
    assert not subject.due(1.0)
    subject.release(probe)
    assert subject.due(1.0)
