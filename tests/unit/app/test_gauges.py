"""The gauges of an engine: what an alert goes by must not cry wolf, nor be late."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from sidecar.admission.books import Books
from sidecar.admission.moment import Moment
from sidecar.admission.settlements import Settlements
from sidecar.app.context import Context
from sidecar.app.engine import EngineParts
from sidecar.app.gauges import publish_gauges
from sidecar.domain.model import Charge
from sidecar.domain.quota import FailureKind
from sidecar.domain.share import ALONE
from sidecar.identity.keyset import KeySet
from sidecar.platform.breaker import Breaker
from sidecar.policy.store import PolicyStore
from sidecar.telemetry.observer import Observer
from tests.fakes.clock import TurnedClock
from tests.unit.identity.auth_host import pool_for

POLICY = """
version: 1
product: acme-notes
identity: [{cookie: bb_at}]
routes:
  - name: chat
    match: {path: /chat}
    meter: {fail_open_budget: {units: 10, seconds: 100}}
  - name: draft
    match: {path: /draft}
    meter: {fail_open_budget: {units: 20, seconds: 50}}
  - name: upload
    match: {path: /upload}
    meter: {resource: storage_bytes, on_platform_error: fail_closed}
"""


class Scene:
    """Gauges over real books, a real policy file and a clock that is turned by hand."""

    def __init__(self, folder: Path) -> None:
        self.clock = TurnedClock()
        self.file = folder / "policy.yaml"
        self.file.write_text(POLICY, encoding="utf-8")
        self.policies = PolicyStore(self.file, POLICY.encode(), {})
        self.metrics = Observer(build=("0", "abc123", "3.13.0", "pure"))
        self.books = Books(self.metrics)
        self.settlements = Settlements(books=self.books, observer=self.metrics, nonce=bytes(32))
        self.keys = KeySet(pool_for("http://127.0.0.1:9"), self.clock, self.metrics)
        parts = SimpleNamespace(
            keys=self.keys,
            breaker=Breaker(jitter=lambda: 1.0),
            books=self.books,
            settlements=self.settlements,
            attempts=None,
        )
        context = SimpleNamespace(clock=self.clock, observer=self.metrics, share=ALONE)
        publish_gauges(cast("Context", context), self.policies, cast("EngineParts", parts))

    def let_through(self, org: str, units: int, resource: str = "ai_calls") -> None:
        """Admit units without an answer of the platform."""
        charge = Charge(
            org, "acme-notes", resource, units, f"key-{org}-{len(self.books.journal)}", private=True
        )
        now = Moment.of(self.clock)
        self.books.let_through(charge, FailureKind.CONNECT, now, None, sent=False)

    def read(self, name: str) -> float | None:
        """The gauge as a scrape finds it; None without a series."""
        return self.metrics.snapshot().values.get(name, {}).get(())

    @property
    def spent(self) -> float | None:
        """The gauge of the budget."""
        return self.read("fail_open_budget_spent_ratio")


@pytest.fixture
async def scene(tmp_path: Path) -> Scene:
    """One of them."""
    return Scene(tmp_path)


async def test_no_budget_is_spent_while_nothing_fails_open(scene: Scene) -> None:
    """The series is there all the same, so that an alert can be tried."""
    assert scene.spent == 0.0


async def test_the_org_that_spent_most_is_told(scene: Scene) -> None:
    """The smallest budget of the resource counts: it closes first."""
    scene.let_through("org_a", 2)
    scene.let_through("org_b", 4)
    assert scene.spent == pytest.approx(0.4)


async def test_seconds_count_as_units_do(scene: Scene) -> None:
    """A quiet org runs out of time."""
    scene.let_through("org_a", 1)
    scene.clock.advance(40.0)
    assert scene.spent == pytest.approx(0.8)


async def test_a_spent_budget_is_one_and_no_more(scene: Scene) -> None:
    """A share above 1 would say that more was let through than may be."""
    scene.let_through("org_a", 1)
    scene.clock.advance(4000.0)
    assert scene.spent == 1.0


async def test_what_no_route_may_fail_open_has_no_budget(scene: Scene) -> None:
    """Units let through by `last_known` or in shadow spend none."""
    scene.let_through("org_a", 1, "storage_bytes")
    assert scene.spent == 0.0


async def test_a_key_set_that_never_came_has_no_age(scene: Scene) -> None:
    """Zero would say that it is fresh."""
    assert scene.read("jwks_age_seconds") is None


async def test_a_rejected_policy_shows_until_it_is_fixed(scene: Scene) -> None:
    """A counter of rejections would fall silent while the bad file is still there."""
    successful = partial(scene.read, "policy_last_reload_successful")
    assert successful() == 1.0
    scene.file.write_text("version: 2\n", encoding="utf-8")
    await scene.policies.reload()
    assert successful() == 0.0
    scene.file.write_text(POLICY, encoding="utf-8")
    await scene.policies.reload()
    assert successful() == 1.0


async def test_held_units_are_summed_by_resource(tmp_path: Path) -> None:
    """Of all orgs; nothing where no call is under way."""
    scene = Scene(tmp_path)
    assert "held_units" not in scene.metrics.snapshot().values
    scene.settlements.holds.take("a", ("org_a", "ai_calls"), 3, deposit=1)
    scene.settlements.holds.take("b", ("org_b", "ai_calls"), 5, deposit=1)
    assert scene.metrics.snapshot().values["held_units"] == {("ai_calls",): 10}


async def test_the_units_of_every_book_are_read(scene: Scene) -> None:
    """Journal and credits, and the age of what is owed; a scrape finds them as they are."""
    scene.let_through("org_a", 2)
    paid = Charge("org_b", "acme-notes", "ai_calls", 3, "paid", private=True)
    scene.books.refund(paid, scene.clock.time() + 100, scene.clock.time())
    scene.clock.advance(7)
    names = ("journal_pending_units", "journal_oldest_seconds", "credits_units")
    assert [scene.read(name) for name in names] == [2, 7, 3]
