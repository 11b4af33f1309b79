"""The books together: what admin port and webhooks ask of them, and a store that is full."""

from __future__ import annotations

from sidecar.admission.books import Books
from sidecar.admission.journal_entries import Entry, JournalUnwritable, Purpose, Record
from sidecar.admission.moment import Moment
from sidecar.domain.choices import OnPlatformError
from sidecar.domain.model import Charge, Loss, Reason, Unreported
from sidecar.domain.quota import UNLIMITED, Failed, FailureKind, Granted
from tests.fakes.admission import RememberingObserver
from tests.fakes.quotas import AnswerLosingQuotas, UnreachableQuotas
from tests.unit.admission.scene import NOW, ORG, RESOURCE, Scene, quota


class RefusingStore:
    """Keeps nothing, and says so."""

    durable = True
    problem = "no space"
    damaged_bytes = 0

    def append(self, record: Record) -> None:
        raise JournalUnwritable("no space")


def _charge(amount: int = 1) -> Charge:
    return Charge(ORG, "p", RESOURCE, amount, "k", private=True)


SENT = Entry(_charge(), Purpose.RECLAIM, NOW, NOW, limited=False)


async def test_what_is_known_of_an_org_is_its_last_trusted_answer() -> None:
    """The admin's view of quotas."""
    scene = Scene()
    await scene.decide()
    (known,) = scene.books.ledger.known(10)
    assert (known.org_id, known.quota, known.seen_at) == (ORG, quota(24), NOW)


async def test_a_raised_limit_is_felt_by_the_call_after_its_event() -> None:
    """Within the five seconds of a cached denial."""
    scene = Scene(limit=0)
    await scene.decide()
    scene.store.default = 10
    scene.store.answers.clear()
    scene.books.ledger.forget_denial(ORG, NOW)
    assert (await scene.decide()).reason is Reason.WITHIN_QUOTA


async def test_forgetting_a_denial_is_felt_by_the_next_call() -> None:
    """The same, for who knows better than the cache."""
    scene = Scene(limit=0)
    await scene.decide()
    scene.books.ledger.forget_denial(ORG, NOW)
    await scene.decide()
    assert len(scene.honest.asked) == 2


async def test_a_settlement_that_cannot_be_journalled_is_dropped_aloud() -> None:
    """Perhaps counted, and nobody will ever know: the operator is told."""
    scene = Scene(journal=RefusingStore(), on_platform_error=OnPlatformError.FAIL_CLOSED)
    scene.platform.now = AnswerLosingQuotas(scene.store)
    assert (await scene.decide()).reason is Reason.FAIL_CLOSED
    assert scene.observer.of("journal_dropped") == [(1, Unreported.UNWRITABLE)]


async def test_a_call_that_may_have_been_counted_and_cannot_be_journalled_is_dropped_aloud() -> (
    None
):
    """It is refused as fail_closed, and its unit may be lost."""
    scene = Scene(journal=RefusingStore())
    scene.platform.now = AnswerLosingQuotas(scene.store)
    assert (await scene.decide()).reason is Reason.FAIL_CLOSED
    assert scene.observer.of("journal_dropped") == [(1, Unreported.UNWRITABLE)]


async def test_a_call_that_never_arrived_and_cannot_be_journalled_drops_nothing() -> None:
    """Neither counted nor executed."""
    scene = Scene(journal=RefusingStore())
    scene.platform.now = UnreachableQuotas()
    assert (await scene.decide()).reason is Reason.FAIL_CLOSED
    assert scene.observer.of("journal_dropped") == []


def test_credits_that_cannot_be_kept_at_the_end_are_lost_aloud() -> None:
    """A full disk at shutdown."""
    observer = RememberingObserver()
    books = Books(observer, RefusingStore())
    books.refund(_charge(3), NOW + 100, NOW)
    assert books.close(NOW) == 3
    assert observer.of("credits_lost") == [(3, Loss.STOPPED)]


def test_credits_pushed_out_by_others_are_lost_aloud() -> None:
    """The bound of the credit book, told."""
    observer = RememberingObserver()
    books = Books(observer)
    books.credits._capacity = 1
    books.refund(_charge(3), NOW + 100, NOW)
    books.refund(Charge("other", "p", RESOURCE, 1, "k2", private=True), NOW + 100, NOW)
    assert observer.of("credits_lost") == [(3, Loss.DISPLACED)]


def test_an_old_answer_under_an_old_key_tells_nothing_of_what_remains() -> None:
    """The platform repeats what it said then."""
    books = Books(RememberingObserver())
    books.outages.let_through((ORG, RESOURCE), 1, 0.0)
    outcome = books.learn_of(SENT, Granted(quota(5)), Moment(1.0, NOW))
    assert isinstance(outcome, Granted)
    assert list(books.ledger.known(1)) == []
    assert len(books.outages) == 0


def test_an_old_key_answered_unlimited_is_doubted_like_a_new_one() -> None:
    """A store that is down answers every key alike."""
    books = Books(RememberingObserver())
    books.learn(_charge(), Granted(quota(5)), Moment(0.0, NOW), None)
    unbound = Granted(quota(UNLIMITED, limit=UNLIMITED))
    again = books.learn_of(SENT, unbound, Moment(1.0, NOW + 1))
    assert again == Failed(FailureKind.DISGUISED)
