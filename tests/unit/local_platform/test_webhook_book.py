"""The webhook book: attempts, waits and giving up, by a turned clock and without a network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.local_platform import Rejection
from sidecar.local_platform.directory import Directory, ProductCaller
from sidecar.local_platform.store import Store
from sidecar.local_platform.webhook_book import Attempt, Due, WebhookBook
from sidecar.local_platform.webhook_wire import WebhookBody
from tests.fakes.clock import TurnedClock
from tests.unit.local_platform import acme

NOTES = ProductCaller("acme-notes")
GOOD = Attempt(204)
BAD = Attempt(500)
SILENT = Attempt(0, "no answer")


@dataclass
class Desk:
    """A book with one endpoint, and short ways to use it."""

    store: Store
    book: WebhookBook
    clock: TurnedClock
    endpoint: str

    def owe(self) -> str:
        return self.book.test(NOTES, self.endpoint).delivery_id

    def state(self, delivery: str) -> tuple[str, int]:
        found = self.store.row("SELECT state, attempts FROM deliveries WHERE id = ?", (delivery,))
        assert found is not None
        return found[0], found[1]

    def fail_for_good(self) -> str:
        delivery = self.owe()
        for wait in (5, 10, 0):
            self.book.settle(delivery, BAD)
            self.clock.advance(wait)
        return delivery


def desk_at(clock: TurnedClock) -> Desk:
    """Make a desk."""
    store = Store(None)
    directory = Directory(store, clock)
    with store.transaction():
        directory.apply(acme.seed())
    book = WebhookBook(store, directory, clock)
    body = WebhookBody(url="http://product.test/hook", event_types=["*"])
    return Desk(store, book, clock, book.register(NOTES, body).id)


@pytest.fixture
def desk(clock: TurnedClock) -> Iterator[Desk]:
    """A desk of its own."""
    made = desk_at(clock)
    yield made
    made.store.close()


def test_a_delivery_is_due_at_once(desk: Desk) -> None:
    """And no longer owed once it succeeded."""
    delivery = desk.owe()
    assert [due.delivery_id for due in desk.book.due(10)] == [delivery]

    desk.book.settle(delivery, GOOD)

    assert desk.state(delivery) == ("delivered", 1)
    assert not desk.book.owes()


def test_attempts_are_5_and_10_seconds_apart_and_three_in_all(desk: Desk) -> None:
    """Not due before the wait is over; given up after the third."""
    delivery = desk.owe()
    for wait in (5, 10):
        desk.book.settle(delivery, BAD)
        desk.clock.advance(wait - 0.001)
        assert not desk.book.due(10)
        desk.clock.advance(0.001)
        assert desk.book.due(10)
    desk.book.settle(delivery, SILENT)

    assert desk.state(delivery) == ("failed", 3)
    assert not desk.book.owes()


@pytest.mark.parametrize(
    ("status", "state"), [(200, "delivered"), (299, "delivered"), (300, "pending"), (0, "pending")]
)
def test_success_is_a_status_under_300(desk: Desk, status: int, state: str) -> None:
    """A redirect is none, silence neither."""
    delivery = desk.owe()
    desk.book.settle(delivery, Attempt(status))

    assert desk.state(delivery)[0] == state


def test_ten_failures_in_a_row_disable_the_endpoint(desk: Desk) -> None:
    """What is still owed is dropped, and a test is refused."""
    for _ in range(9):
        desk.fail_for_good()
    waiting = desk.owe()
    desk.fail_for_good()

    assert desk.state(waiting) == ("dropped", 0)
    with pytest.raises(Rejection) as rejected:
        desk.owe()
    assert rejected.value.status == 409


def test_a_success_in_between_starts_the_row_anew(desk: Desk) -> None:
    """Nine, one good, nine: still enabled."""
    for _ in range(9):
        desk.fail_for_good()
    desk.book.settle(desk.owe(), GOOD)
    for _ in range(9):
        desk.fail_for_good()

    assert desk.owe()


def test_registering_again_enables(desk: Desk) -> None:
    """The product fixed it and says so."""
    for _ in range(10):
        desk.fail_for_good()
    body = WebhookBody(url="http://product.test/hook", event_types=["*"])
    desk.book.register(NOTES, body)

    assert desk.owe()


def test_a_result_that_comes_too_late_changes_nothing(desk: Desk) -> None:
    """An attempt under way when its delivery was settled otherwise."""
    delivery = desk.owe()
    desk.book.settle(delivery, GOOD)
    desk.book.settle(delivery, BAD)

    assert desk.state(delivery) == ("delivered", 1)


def test_a_secret_is_not_printed() -> None:
    """Neither by repr nor by str."""
    due = Due("d", "wh", "http://x", "e", b"{}", secret="whsec_hidden")

    assert "whsec_hidden" not in f"{due!r} {due}"


@given(st.lists(st.sampled_from([GOOD, BAD, SILENT]), max_size=60))
def test_no_delivery_is_lost_or_tried_too_often(attempts: list[Attempt]) -> None:
    """Whatever comes back: at most three attempts, and each delivery ends in one state."""
    desk = desk_at(TurnedClock())
    delivery = desk.owe()
    tried = 0
    for attempt in attempts:
        if not desk.book.owes():
            break
        desk.clock.advance(15)
        desk.book.settle(delivery, attempt)
        tried += 1
    state, counted = desk.state(delivery)
    assert counted == tried <= 3
    assert (state == "delivered") == (GOOD in attempts[:tried])
    assert (state == "failed") == (tried == 3 and GOOD not in attempts[:3])
    desk.store.close()
