"""A short soak, and the books that end one."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.soak.books import Row, rows, table
from tests.soak.soaking import soak
from tests.soak.tap import Tap
from tests.wire.fault_proxy import CLEAN, Passage

SECONDS = 10


async def test_the_books_agree_after_ten_seconds() -> None:
    """Whatever went wrong meanwhile, nothing is charged, executed or kept that is not in a book."""
    report = await soak(SECONDS, number=3)
    assert report.wrong == [], table(report.rows)
    assert sum(report.seen.values()) > 100
    assert sum(row.executed for row in report.rows if row.resource == "ai_calls") > 50
    assert sum(report.made.values()) > 1


@pytest.mark.parametrize(
    ("row", "difference"),
    [
        (Row("o", "ai_calls", 100, 7, 5, 1, 1), 0),
        (Row("o", "ai_calls", 100, 7, 4, 1, 1), -1),
        (Row("o", "ai_calls", 100, 7, 8, 0, 0), 1),
        (Row("o", "ai_calls", 7, 7, 9, 0, 0), 0),
        (Row("o", "ai_calls", 7, 7, 6, 0, 0), -1),
        (Row("o", "ai_calls", -1, 7, 9, 0, 0), 2),
    ],
)
def test_a_difference_is_what_nothing_explains(row: Row, difference: int) -> None:
    """Only a limit that was reached excuses uncounted units; nothing excuses units too many."""
    assert row.difference == difference


def test_what_only_one_book_knows_is_shown() -> None:
    """An org that nobody expected has its row, and its difference."""
    (row,) = rows({}, Counter(), Counter({("who", "ai_calls"): 2}), Counter(), Counter())
    assert (row.org, row.difference) == ("who", 2)
    assert table([row]).splitlines()[1].split()[0] == "who"


def passage(*requests: bytes, there: int) -> Passage:
    """Make what a connection came to."""
    made = Passage(CLEAN, there=there)
    made.heard += b"".join(requests)
    return made


def request(body: bytes, *, chunked: bool = False) -> bytes:
    """Write a request of five units as the sidecar sends it."""
    framing = b"transfer-encoding: chunked" if chunked else b"content-length: %d" % len(body)
    if chunked:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    return b"POST / HTTP/1.1\r\nX-BB-Org-Id: o\r\nx-units: 5\r\n%b\r\n\r\n%b" % (framing, body)


@pytest.mark.parametrize("chunked", [False, True])
def test_the_tap_counts_heads_that_did_not_get_through(*, chunked: bool) -> None:
    """A head cut anywhere is lost, a body cut is not, and no byte of a body is taken for a head."""
    first, second = request(b"GET / x\r\n\r\n", chunked=chunked), request(b"two", chunked=chunked)
    whole = len(first) + second.find(b"\r\n\r\n") + 4
    for there, lost in ((0, 10), (10, 10), (len(first), 5), (whole - 1, 5), (whole, 0)):
        tap = Tap()
        tap.ended(passage(first, second, there=there))
        assert tap.lost["o", "ai_calls"] == lost, there
