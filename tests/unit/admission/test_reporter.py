"""The reporter: each key once more, exactly as it was, until the platform has spoken."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.admission.journal import MEMORY_SECONDS
from sidecar.admission.journal_entries import Changed, JournalUnwritable, Record
from sidecar.admission.moment import Moment
from sidecar.admission.reporter import Reporter
from sidecar.domain.choices import OnPlatformError
from sidecar.domain.model import AttemptEnd, Charge, Reason, Unreported
from sidecar.domain.quota import FailureKind, Outcome
from tests.fakes.quotas import (
    AnswerLosingQuotas,
    DisguisedQuotas,
    HeldQuotas,
    HonestQuotas,
    QuotaStore,
    UnreachableQuotas,
)
from tests.unit.admission.scene import ORG, RESOURCE, Scene


def _reporter(scene: Scene) -> Reporter:
    return Reporter(
        books=scene.books,
        quotas=scene.platform,
        clock=scene.clock,
        observer=scene.observer,
        settlements=scene.settlements,
    )


async def _executed(scene: Scene, times: int = 1) -> None:
    for _ in range(times):
        decision = await scene.decide()
        assert decision.permit is not None
        scene.engine.attempt_ended(decision.permit, AttemptEnd.DONE)


async def test_what_was_let_through_is_counted_once_the_platform_answers() -> None:
    """Executions = charges, to the unit."""
    scene = Scene()
    scene.platform.now = UnreachableQuotas()
    await _executed(scene, 7)
    scene.platform.now = scene.honest
    assert await _reporter(scene).report()
    assert scene.store.used[ORG, RESOURCE] == 7
    assert len(scene.books.journal) == 0
    assert scene.observer.of("journal_replayed") == [("counted", 1)] * 7


async def test_what_was_counted_and_its_answer_lost_is_not_counted_twice() -> None:
    """Conformance 32: the report shares the key of the first try."""
    scene = Scene()
    scene.platform.now = AnswerLosingQuotas(scene.store)
    await _executed(scene, 3)
    scene.platform.now = scene.honest
    await _reporter(scene).report()
    assert scene.store.used[ORG, RESOURCE] == 3


async def test_a_platform_that_is_down_is_asked_one_question_a_round() -> None:
    """The first entry goes alone; the rest wait."""
    scene = Scene()
    down = UnreachableQuotas()
    scene.platform.now = down
    await _executed(scene, 5)
    down.asked.clear()
    assert not await _reporter(scene).report()
    assert len(down.asked) == 1
    assert scene.books.journal.pending == 5


async def test_a_platform_that_answers_in_part_counts_as_answering() -> None:
    """So that it is asked again soon: what it answers each time empties the journal."""

    class FailingNow(HonestQuotas):
        """Answers every other consume."""

        async def _answer(self, charge: Charge) -> Outcome:
            if len(self.asked) % 2 == 0:
                return await UnreachableQuotas()._answer(charge)
            return await super()._answer(charge)

    scene = Scene()
    scene.platform.now = UnreachableQuotas()
    await _executed(scene, 7)
    scene.platform.now = FailingNow(scene.store)
    for _ in range(7):
        assert await _reporter(scene).report()
    assert scene.store.used[ORG, RESOURCE] == 7
    assert len(scene.books.journal) == 0


async def test_units_refused_in_the_report_are_not_owed_any_more() -> None:
    """Executed over the limit: the platform counts nothing, and is not asked for ever."""
    scene = Scene(limit=0)
    scene.platform.now = UnreachableQuotas()
    await _executed(scene)
    scene.platform.now = scene.honest
    assert await _reporter(scene).report()
    assert scene.observer.of("journal_replayed") == [("refused", 1)]


async def test_a_settled_charge_becomes_a_credit() -> None:
    """Counted for a call that was refused: it pays for the next one."""
    scene = Scene(on_platform_error=OnPlatformError.FAIL_CLOSED)
    scene.platform.now = AnswerLosingQuotas(scene.store)
    await scene.decide()
    scene.platform.now = scene.honest
    await _reporter(scene).report()
    assert (await scene.decide()).reason is Reason.CREDITED
    assert scene.store.used[ORG, RESOURCE] == 1


async def test_a_disguised_answer_counts_nothing_of_a_limited_org() -> None:
    """The platform's store is still down: the entry stays."""
    scene = Scene()
    await _executed(scene)
    scene.platform.now = DisguisedQuotas(scene.store)
    await _executed(scene)
    assert not await _reporter(scene).report()
    assert len(scene.books.journal) == 1


async def test_a_report_ends_the_outage_and_renews_its_budget() -> None:
    """A trusted answer is one, whoever asked."""
    scene = Scene()
    scene.platform.now = UnreachableQuotas()
    await _executed(scene, 3)
    scene.platform.now = scene.honest
    await _reporter(scene).report()
    assert len(scene.books.outages) == 0


async def test_an_entry_refused_for_good_is_dropped_when_others_are_answered() -> None:
    """Its own fault, then."""

    class PickyQuotas(HonestQuotas):
        """Knows nothing of one key."""

        async def _answer(self, charge: Charge) -> Outcome:
            if charge.key == "unknown":
                return await UnreachableQuotas(FailureKind.NOT_FOUND)._answer(charge)
            return await super()._answer(charge)

    scene = Scene()
    scene.platform.now = PickyQuotas(scene.store)
    for key in ("unknown", "known"):
        charge = Charge(ORG, "p", RESOURCE, 2, key, private=True)
        scene.books.owe(charge, Moment.of(scene.clock), None)
    await _reporter(scene).report()
    assert len(scene.books.journal) == 0
    assert scene.observer.of("journal_dropped") == [(2, Unreported.REFUSED)]


async def test_a_platform_that_answers_404_to_all_does_not_empty_the_journal() -> None:
    """A misrouted host is no verdict on what is owed."""
    scene = Scene()
    scene.platform.now = UnreachableQuotas()
    await _executed(scene, 3)
    scene.platform.now = UnreachableQuotas(FailureKind.NOT_FOUND)
    assert not await _reporter(scene).report()
    assert scene.books.journal.pending == 3


async def test_what_the_platform_has_forgotten_is_given_up_aloud() -> None:
    """24 h after its key first went out, a report could count twice."""
    scene = Scene()
    scene.platform.now = AnswerLosingQuotas(scene.store)
    await _executed(scene)
    scene.clock.advance(MEMORY_SECONDS)
    scene.platform.now = scene.honest
    assert await _reporter(scene).report()
    assert scene.observer.of("journal_dropped") == [(1, Unreported.EXPIRED)]


async def test_a_drain_that_runs_out_of_time_leaves_its_entries() -> None:
    """They are in the journal file when the process ends."""
    scene = Scene()
    scene.platform.now = UnreachableQuotas()
    await _executed(scene, 6)
    scene.platform.now = HeldQuotas(QuotaStore())
    await _reporter(scene).drain(0.02)
    assert scene.books.journal.pending == 6


async def test_run_reports_by_itself_and_waits_longer_while_nothing_answers() -> None:
    """Backoff, jittered, and back to the short wait after an answer."""
    scene = Scene()
    scene.platform.now = UnreachableQuotas()
    await _executed(scene)
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 4:
            scene.platform.now = scene.honest
        if len(waits) == 6:
            raise asyncio.CancelledError
        await asyncio.sleep(0)

    reporter = Reporter(
        books=scene.books,
        quotas=scene.platform,
        clock=scene.clock,
        observer=scene.observer,
        sleep=sleep,
        settlements=scene.settlements,
    )
    with pytest.raises(asyncio.CancelledError):
        await reporter.run()
    assert [
        low <= wait <= high
        for wait, (low, high) in zip(
            waits, [(0.5, 1), (1, 2), (2, 4), (4, 8), (0.5, 1), (0.5, 1)], strict=True
        )
    ] == [True] * 6
    assert scene.store.used[ORG, RESOURCE] == 1


async def test_an_entry_whose_mark_cannot_be_written_is_not_sent() -> None:
    """Sent without a mark, it could be counted twice after a crash."""

    class FillingStore:
        """Takes what is let through, and no mark."""

        durable = True
        problem = "no space"
        damaged_bytes = 0

        def append(self, record: Record) -> None:
            if isinstance(record, Changed):
                raise JournalUnwritable("no space")

    scene = Scene(journal=FillingStore())
    scene.platform.now = UnreachableQuotas()
    await _executed(scene, 2)
    scene.platform.now = scene.honest
    assert not await _reporter(scene).report()
    assert scene.honest.asked == []
    assert scene.books.journal.pending == 2


async def test_a_fault_of_the_consume_call_leaves_the_entry_pending() -> None:
    """An exception that should not be is passed on, and loses nothing."""

    class BrokenQuotas(HonestQuotas):
        """Raises what the port forbids."""

        async def _answer(self, charge: Charge) -> Outcome:
            raise RuntimeError("a fault of ours")

    scene = Scene()
    scene.platform.now = UnreachableQuotas()
    await _executed(scene)
    scene.platform.now = BrokenQuotas(scene.store)
    with pytest.raises(RuntimeError):
        await _reporter(scene).report()
    assert scene.books.journal.pending == 1
