"""A process that is killed at any moment of a settlement: the next one settles, and once."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.admission.journal_file import JournalFile
from sidecar.domain.quota import FailureKind
from sidecar.domain.usage import Estimate, Settled
from tests.fakes.quotas import AnswerLosingQuotas, QuotaStore, UnreachableQuotas
from tests.unit.admission.settling import SLOT, Desk
from tests.unit.admission.usage_rules import terms, used

ASKED = terms(estimate=Estimate(400, None, None))


async def _after_a_kill(path: Path, store: QuotaStore) -> Desk:
    """Start a process on the journal that a killed one has left, and let it report."""
    with JournalFile(path) as journal:
        desk = Desk(journal=journal, nonce=b"2" * 32)
        desk.honest.store = desk.store = store
        others = desk.settlements.restore(journal.found, desk.now)
        desk.books.restore(others, journal.kept, desk.now)
        for _ in range(4):
            assert await desk.reporter.report()
        assert desk.at_rest()
    return desk


def _killed(path: Path) -> tuple[JournalFile, Desk]:
    journal = JournalFile(path)
    return journal, Desk(journal=journal)


async def test_while_the_call_runs(tmp_path: Path) -> None:
    """It costs the request's part."""
    journal, desk = _killed(tmp_path / "journal")
    desk.admit(ASKED)
    journal.close()
    after = await _after_a_kill(tmp_path / "journal", desk.store)
    assert after.used == 100
    assert after.settled() == {Settled.COUNTED: 99}


async def test_before_what_is_owed_was_sent(tmp_path: Path) -> None:
    """It costs what the answer said."""
    journal, desk = _killed(tmp_path / "journal")
    permit, charge = desk.admit(ASKED)
    desk.settlements.settle(permit, charge, used(30), desk.now)
    journal.close()
    assert (await _after_a_kill(tmp_path / "journal", desk.store)).used == 30


@pytest.mark.parametrize("counted", [True, False])
async def test_before_the_answer_came(tmp_path: Path, *, counted: bool) -> None:
    """The key is the same, whether the platform had counted it or not."""
    journal, desk = _killed(tmp_path / "journal")
    lost = AnswerLosingQuotas(desk.store)
    desk.platform.now = lost if counted else UnreachableQuotas(FailureKind.RESET)
    await desk.call(used(30), ASKED)
    journal.close()
    assert (await _after_a_kill(tmp_path / "journal", desk.store)).used == 30


async def test_after_it_was_settled(tmp_path: Path) -> None:
    """Nothing is left to settle."""
    journal, desk = _killed(tmp_path / "journal")
    await desk.call(used(30), ASKED)
    journal.close()
    assert (await _after_a_kill(tmp_path / "journal", desk.store)).used == 30


async def test_between_what_is_owed_and_what_was_noted(tmp_path: Path) -> None:
    """Both are in the file: the later one counts."""
    path = tmp_path / "journal"
    journal, desk = _killed(path)
    permit, charge = desk.admit(ASKED)
    desk.settlements._forget = lambda _: None  # type: ignore[method-assign,assignment]
    desk.settlements.settle(permit, charge, used(30), desk.now)
    journal.close()
    assert (await _after_a_kill(path, desk.store)).used == 30


async def test_after_a_refusal(tmp_path: Path) -> None:
    """What remains is asked for by the next process."""
    path = tmp_path / "journal"
    journal, desk = _killed(path)
    desk.store.limits[SLOT] = 20
    permit, charge = desk.admit(ASKED)
    key = desk.settlements.settle(permit, charge, used(30), desk.now)
    entry = desk.books.journal.take(desk.now, key)
    assert entry is not None
    desk.settlements.answered(entry, desk.store.count(entry.charge), desk.now)
    journal.close()
    after = await _after_a_kill(path, desk.store)
    assert after.used == 20
