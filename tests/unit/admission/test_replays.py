"""The replay book: attempt numbers that never come twice, and bounds."""

from __future__ import annotations

import pytest

from sidecar.admission.replays import RETENTION_SECONDS, ReplayBook
from sidecar.domain.choices import OnReplay


def _claim(book: ReplayBook, scope: bytes, *, trusted: bool = False, now: float = 0.0) -> int:
    claim = book.claim(scope, trusted=trusted, replay=OnReplay.CHARGE, now=now)
    assert claim.attempt is not None
    return claim.attempt


def test_an_evicted_client_id_never_gets_an_old_attempt_again() -> None:
    """Pushing an ID out of the book must not bring back a key already paid."""
    book = ReplayBook(capacity=2)
    seen = []
    for _ in range(5):
        seen.append(_claim(book, b"target"))
        book.succeed(b"target", 0.0)
        for filler in (b"a", b"b", b"c"):
            _claim(book, filler)
            book.succeed(filler, 0.0)
    assert len(set(seen)) == 5


def test_a_client_that_borrows_a_trusted_scope_raises_the_floor_too() -> None:
    """One untrusted claim in a scope is enough to keep its numbers from coming back."""
    book = ReplayBook(capacity=0)
    _claim(book, b"s", trusted=True)
    first = _claim(book, b"s")
    book.release(b"s", 0.0)
    book.release(b"s", 0.0)
    assert _claim(book, b"s") > first


def test_refused_calls_push_no_call_out_that_succeeded() -> None:
    """An org over its quota could else end the protection of all others against replays."""
    book = ReplayBook(capacity=3)
    book.claim(b"done", trusted=False, replay=OnReplay.REJECT, now=0.0)
    book.succeed(b"done", 0.0)
    for number in range(10):
        scope = b"%d" % number
        book.claim(scope, trusted=False, replay=OnReplay.REJECT, now=1.0)
        book.release(scope, 1.0)
    assert book.claim(b"done", trusted=False, replay=OnReplay.REJECT, now=2.0).attempt is None


def test_a_trusted_id_that_a_client_borrows_is_remembered_when_refused() -> None:
    """Forgotten, it would start again at a key that was charged."""
    book = ReplayBook()
    for trusted, attempt in ((True, 0), (False, 1), (True, 2)):
        claim = book.claim(b"a", trusted=trusted, replay=OnReplay.CHARGE, now=0.0)
        assert claim.attempt == attempt
        book.release(b"a", 0.0)


def test_a_trusted_id_starts_at_nought_whatever_was_forgotten() -> None:
    """Two replicas must derive one key for it."""
    book = ReplayBook(capacity=0)
    for _ in range(3):
        _claim(book, b"client")
        book.succeed(b"client", 0.0)
    assert _claim(book, b"trusted", trusted=True) == 0


def test_a_scope_is_forgotten_after_its_retention() -> None:
    """The platform has forgotten the key by then, journalled or not."""
    book = ReplayBook()
    _claim(book, b"s", trusted=True)
    book.succeed(b"s", 0.0)
    assert _claim(book, b"s", trusted=True, now=RETENTION_SECONDS - 1) == 1
    book.succeed(b"s", 0.0)
    assert _claim(book, b"s", trusted=True, now=RETENTION_SECONDS) == 0


def test_a_scope_in_flight_is_never_forgotten() -> None:
    """A long stream outlives any number of short calls."""
    book = ReplayBook(capacity=1)
    _claim(book, b"long")
    for n in range(10):
        _claim(book, b"%d" % n)
        book.succeed(b"%d" % n, 0.0)
    assert _claim(book, b"long") == 1
    assert len(book) == 2


def test_ten_thousand_ids_stay_within_the_capacity() -> None:
    """Conformance 45, for the book that a client can fill."""
    book = ReplayBook(capacity=100)
    for n in range(10_000):
        _claim(book, b"%d" % n)
        book.succeed(b"%d" % n, 0.0)
    assert len(book) == 100


@pytest.mark.parametrize("succeeded", [True, False])
def test_reject_refuses_only_what_succeeded(succeeded: bool) -> None:  # noqa: FBT001 - a case
    """A released claim leaves the ID free."""
    book = ReplayBook()
    _claim(book, b"s")
    (book.succeed if succeeded else book.release)(b"s", 0.0)
    again = book.claim(b"s", trusted=False, replay=OnReplay.REJECT, now=0.0)
    assert (again.attempt is None) == succeeded
    assert again.seen == succeeded


def test_a_shared_number_moves_the_books_own_forward() -> None:
    """Numbers from the shared count and from this process never meet."""
    book = ReplayBook()
    claims = [
        book.claim(b"s", trusted=True, replay=OnReplay.CHARGE, now=0.0, shared=shared).attempt
        for shared in (4, None, 5, 9)
    ]
    assert claims == [4, 5, 6, 9]


def test_shared_numbers_that_arrive_out_of_order_are_taken_as_they_are() -> None:
    """Any other number in place of a late one would be another replica's."""
    book = ReplayBook()
    given = [
        book.claim(b"s", trusted=True, replay=OnReplay.CHARGE, now=0.0, shared=shared).attempt
        for shared in (3, 7, 0, 5, 5, 2)
    ]
    assert given == [3, 7, 0, 5, 8, 2]


def test_a_shared_count_that_starts_anew_brings_no_number_back() -> None:
    """A Redis that lost its data does not make calls free."""
    book = ReplayBook()
    given = [
        book.claim(b"s", trusted=True, replay=OnReplay.CHARGE, now=0.0, shared=shared).attempt
        for shared in (0, 1, 2, 0, 1)
    ]
    assert given == [0, 1, 2, 3, 4]


def test_skipped_numbers_are_bounded() -> None:
    """A count far ahead does not fill the memory."""
    book = ReplayBook()
    for shared in (10**9, 2 * 10**9):
        book.claim(b"s", trusted=True, replay=OnReplay.CHARGE, now=0.0, shared=shared)
    [scope] = book._flying.values()
    assert scope.skipped is not None
    assert len(scope.skipped) == 256
    assert max(scope.skipped) == 2 * 10**9 - 1
