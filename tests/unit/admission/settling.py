"""Books, holds and settlements over a platform that counts, for tests of what settles calls."""

from __future__ import annotations

from sidecar.admission.books import Books
from sidecar.admission.journal_entries import ForgetfulStore, JournalStore
from sidecar.admission.moment import Moment
from sidecar.admission.reporter import Reporter
from sidecar.admission.settlements import Settlements
from sidecar.admission.settler import Settler
from sidecar.domain.choices import Refund
from sidecar.domain.model import Charge, Permit
from sidecar.domain.quota import Granted
from sidecar.domain.usage import Settled, Terms, Usage
from tests.fakes.admission import RememberingObserver
from tests.fakes.clock import TurnedClock
from tests.fakes.quotas import RESET_AT, HonestQuotas, QuotaStore, SwitchedQuotas
from tests.unit.admission.usage_rules import terms

NOW = 1_760_000_000.0
ORG = "org_acme"
RESOURCE = "ai_calls"
SLOT = (ORG, RESOURCE)
NONCE = bytes(32)


class LastingStore(ForgetfulStore):
    """A store whose records would outlive the process."""

    durable = True


class Desk:
    """One process's settlements; `store` is the platform's truth, `platform` what answers now."""

    def __init__(
        self, *, limit: int = 100, journal: JournalStore | None = None, nonce: bytes = NONCE
    ) -> None:
        self.clock = TurnedClock(NOW)
        self.observer = RememberingObserver()
        self.store = QuotaStore(default=limit)
        self.honest = HonestQuotas(self.store)
        self.platform = SwitchedQuotas(self.honest)
        self.books = Books(self.observer, journal or LastingStore())
        self.settlements = Settlements(books=self.books, observer=self.observer, nonce=nonce)
        self.holds = self.settlements.holds
        self.settler = Settler(
            settlements=self.settlements,
            books=self.books,
            quotas=self.platform,
            clock=self.clock,
        )
        self.reporter = Reporter(
            books=self.books,
            quotas=self.platform,
            clock=self.clock,
            observer=self.observer,
            settlements=self.settlements,
        )
        self._serial = 0

    @property
    def now(self) -> Moment:
        """Read the clock."""
        return Moment.of(self.clock)

    @property
    def used(self) -> int:
        """Count what the platform has."""
        return self.store.used[SLOT]

    @property
    def credits(self) -> int:
        """Count the org's credits."""
        return self.books.credits.units_of(SLOT, self.clock.time())

    def admit(
        self, of: Terms | None = None, *, deposit: int = 1, private: bool = True
    ) -> tuple[Permit, Charge]:
        """Consume a deposit, and admit its call."""
        self._serial += 1
        charge = Charge(ORG, "acme-notes", RESOURCE, deposit, f"call {self._serial}", private)
        outcome = self.store.count(charge)
        assert isinstance(outcome, Granted)
        self.books.learn(charge, outcome, self.now, None)
        of = terms() if of is None else of
        self.holds.take(of.name(charge.key), SLOT, of.hold, deposit=deposit)
        self.holds.admit(of.name(charge.key), of.hold)
        noted = self.settlements.note(charge, of, "chat", self.now)
        permit = Permit(
            "r", "chat", charge, True, Refund.UNREACHED, None, RESET_AT, terms=of, noted=noted
        )
        return permit, charge

    async def call(
        self, usage: Usage, of: Terms | None = None, *, deposit: int = 1, private: bool = True
    ) -> None:
        """Run a call from its deposit to the platform's answer about what it owes."""
        permit, charge = self.admit(of, deposit=deposit, private=private)
        key = self.settlements.settle(permit, charge, usage, self.now)
        if key is not None:
            self.settler.send(key)
        await self.settler.close()

    def settled(self) -> dict[Settled, int]:
        """Sum what became of units, by outcome."""
        sums: dict[Settled, int] = {}
        for _, _, outcome, units in self.observer.of("units_settled"):
            sums[outcome] = sums.get(outcome, 0) + units
        return sums

    def at_rest(self) -> bool:
        """Say whether nothing is held, and the journal is empty."""
        return len(self.holds) == 0 and len(self.books.journal) == 0
