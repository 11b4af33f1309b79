"""The quota book, on its own store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.model import Resource
from sidecar.local_platform import Rejection, choices
from sidecar.local_platform.control_wire import OrgBody
from sidecar.local_platform.directory import Directory, ProductCaller
from sidecar.local_platform.quota_book import QuotaBook
from sidecar.local_platform.store import Store
from sidecar.local_platform.wire import ConsumeBody
from tests.fakes.clock import TurnedClock
from tests.unit.local_platform import acme

DAY = 86_400


class Books:
    """A book, what it stands on, and short ways to use it."""

    def __init__(self, clock: TurnedClock) -> None:
        self.store = Store(None)
        self.directory = Directory(self.store, clock)
        self.book = QuotaBook(self.store, self.directory, clock)
        with self.store.transaction():
            self.directory.apply(acme.seed())

    def consume(self, amount: int = 1, key: str | None = None, **more: str) -> tuple[bool, int]:
        body = ConsumeBody.model_validate_json(
            ConsumeBody(
                org_id=more.get("org_id", acme.ORG),
                resource=Resource(more.get("resource", "ai_calls")),
                amount=amount,
                idempotency_key=key,
                product_id=more.get("product_id"),
            ).model_dump_json()
        )
        reply = self.book.consume(ProductCaller(more.get("product", "acme-notes")), body)
        return reply.allowed, reply.used


@pytest.fixture
def books(clock: TurnedClock) -> Iterator[Books]:
    """A fresh book with the acme seed."""
    made = Books(clock)
    yield made
    made.store.close()


def test_consume_counts_up_to_the_limit_and_not_past_it(books: Books) -> None:
    """The unit that reaches the limit is allowed, the next is refused and not counted."""
    assert books.consume(25) == (True, 25)
    assert books.consume(1) == (False, 25)


def test_an_amount_that_does_not_fit_is_refused_whole(books: Books) -> None:
    """A refused consume counts nothing, so that a smaller one still fits."""
    books.consume(20)

    assert books.consume(6) == (False, 20)
    assert books.consume(5) == (True, 25)


def test_unlimited_is_never_refused(books: Books) -> None:
    """-1 means unlimited, and what is used is counted all the same."""
    assert books.consume(10**9, resource="api_calls") == (True, 10**9)


def test_a_resource_outside_the_plan_has_no_units(books: Books) -> None:
    """What the plan does not name is limited to nought [ours]: nothing defaults to allow."""
    assert books.consume(resource="seats") == (False, 0)


def test_the_month_starts_anew(books: Books, clock: TurnedClock) -> None:
    """Counts reset at the start of the next month, UTC."""
    books.consume(25)
    clock.advance(23 * DAY)

    assert books.consume() == (True, 1)


def test_a_key_counts_once(books: Books) -> None:
    """The same key answers the same body again, though others consumed meanwhile."""
    first = books.consume(key="k")
    books.consume(3)

    assert books.consume(key="k") == first
    assert books.consume() == (True, 5)


def test_a_refusal_is_remembered(books: Books) -> None:
    """The same key gets the same refusal, also after the limit was raised."""
    assert books.consume(26, key="k") == (False, 0)
    with books.store.transaction():
        books.directory.set_org(acme.ORG, OrgBody(quotas={Resource.AI_CALLS: 100}))

    assert books.consume(26, key="k") == (False, 0)


def test_a_key_is_forgotten_after_a_day(books: Books, clock: TurnedClock) -> None:
    """24 hours later the key counts again."""
    books.consume(key="k")
    clock.advance(DAY - 1)
    assert books.consume(key="k") == (True, 1)
    clock.advance(1)

    assert books.consume(key="k") == (True, 2)


@pytest.mark.parametrize(
    ("amount", "resource"), [(2, "ai_calls"), (1, "api_calls")], ids=["amount", "resource"]
)
def test_a_key_used_for_another_charge_conflicts(books: Books, amount: int, resource: str) -> None:
    """The same key for another amount or resource is 409 [ours]."""
    books.consume(key="k")

    with pytest.raises(Rejection) as rejected:
        books.consume(amount, key="k", resource=resource)
    assert rejected.value.status == 409


def test_keys_are_per_product_and_org(books: Books) -> None:
    """One key used by another org, or by another product of the same org, is another charge."""
    with books.store.transaction():
        books.directory.set_org(acme.ORG, OrgBody(apps=["acme-notes", "other"]))
        books.directory.set_org(
            "org_two", OrgBody(apps=["acme-notes"], quotas={Resource.AI_CALLS: 5})
        )
    books.consume(key="k")

    assert books.consume(key="k", product="other") == (True, 2)
    assert books.consume(key="k", org_id="org_two") == (True, 1)


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"org_id": "org_nobody"}, 404),
        ({"org_id": "org_bare"}, 403),
        ({"product_id": "other"}, 403),
    ],
)
def test_consume_for_what_is_not_ones_own(books: Books, more: dict[str, str], status: int) -> None:
    """An unknown org, an org without the product, another product's id."""
    with pytest.raises(Rejection) as rejected:
        books.consume(**more)  # type: ignore[arg-type]  # the names are str parameters
    assert rejected.value.status == status


def test_remaining_is_never_negative(books: Books) -> None:
    """A limit lowered below what was used leaves nought, not less."""
    books.consume(20)
    with books.store.transaction():
        books.directory.set_org(acme.ORG, OrgBody(quotas={Resource.AI_CALLS: 5}))

    assert books.book.quotas(acme.ORG)["ai_calls"].remaining == 0


def test_the_breakdown_splits_by_product(books: Books) -> None:
    """Each product's own use, under the org's limit."""
    with books.store.transaction():
        books.directory.set_org(acme.ORG, OrgBody(apps=["acme-notes", "other"]))
    books.consume(3)
    books.consume(4, product="other")

    split = books.book.by_product(acme.ORG)

    assert {product: split[product]["ai_calls"].used for product in split} == {
        "acme-notes": 3,
        "other": 4,
    }
    assert {split[product]["ai_calls"].remaining for product in split} == {18}


def test_a_count_past_what_json_holds_is_rejected(books: Books) -> None:
    """A month's count stays a number that every reader holds exactly."""
    books.consume(2**53 - 1, resource="api_calls")

    with pytest.raises(Rejection) as rejected:
        books.consume(1, resource="api_calls")
    assert rejected.value.status == 422


def test_old_answers_are_swept(books: Books, clock: TurnedClock) -> None:
    """Remembered answers do not pile up: each new one takes two expired ones away."""
    for number in range(10):
        books.consume(1, key=f"old{number}")
    clock.advance(DAY + 1)
    for number in range(5):
        books.consume(1, key=f"new{number}")

    assert books.store.number("SELECT count(*) FROM answers") == 5


@given(
    st.lists(st.tuples(st.integers(1, 12), st.one_of(st.none(), st.integers(0, 5))), max_size=40)
)
def test_counts_agree_with_a_plain_model(steps: list[tuple[int, int | None]]) -> None:
    """Any row of consumes, keyed and not, counts what a dictionary would."""
    books = Books(TurnedClock())
    used = 0
    answers: dict[int, tuple[int, tuple[bool, int]]] = {}
    for amount, key in steps:
        if key is not None and key in answers:
            expected_amount, expected = answers[key]
            if amount != expected_amount:
                with pytest.raises(Rejection):
                    books.consume(amount, key=str(key))
            else:
                assert books.consume(amount, key=str(key)) == expected
            continue
        allowed = used + amount <= 25
        used += amount if allowed else 0
        answer = books.consume(amount, key=None if key is None else str(key))
        assert answer == (allowed, used)
        if key is not None:
            answers[key] = (amount, answer)
    counted = books.book.counted(acme.ORG)
    assert sum(consume.amount for consume in counted) == used
    books.store.close()


def test_the_latest_tell_counted_from_refused(books: Books) -> None:
    """Newest first, no more than asked for; a key that is sent again is no news."""
    for amount, key in ((20, "a"), (6, "b"), (5, "c"), (5, "c"), (1, "d")):
        books.consume(amount, key=key)

    told = [(consume.key, counted) for consume, counted in books.book.latest(3)]

    assert sorted(told) == [("b", False), ("c", True), ("d", False)]


def test_refusals_are_not_kept_for_ever(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that is over its limit fills no disk."""
    monkeypatch.setattr(choices, "REFUSALS_KEPT", 2)
    for _ in range(5):
        books.consume(26, key=None)

    assert len(books.book.latest(10)) == 2
