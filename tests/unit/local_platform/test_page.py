"""The developer's page."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from sidecar.local_platform import CountedConsume
from sidecar.local_platform.directory import Org
from sidecar.local_platform.page import PageView, render
from sidecar.local_platform.webhook_wire import Delivery
from sidecar.local_platform.wire import QuotaReply

EVIL = "<script>alert(1)</script>\"'&"
NOW = "2025-10-09T08:53:20.123456Z"
EMPTY = PageView(orgs=[], consumes=[], deliveries=[], now=NOW, faults="")


class Tags(HTMLParser):
    """Collects tags and text, as a browser would see them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def quota(used: int, limit: int) -> QuotaReply:
    """A state."""
    return QuotaReply(used=used, limit=limit, remaining=0, period="month", reset_at="soon")


def shown(state: QuotaReply) -> str:
    """The page with one org that has one resource."""
    return render(replace(EMPTY, orgs=[(Org("o", "o", "pro", ()), {"r": state})]))


def test_nothing_that_came_from_outside_is_markup() -> None:
    """Org ids, keys, URLs and errors are text, whatever they hold."""
    consume = CountedConsume(key=EVIL, org_id=EVIL, product=EVIL, resource=EVIL, amount=1, at=EVIL)
    delivery = Delivery(
        id=EVIL,
        endpoint_id=EVIL,
        product_id=EVIL,
        org_id=EVIL,
        event=EVIL,
        url=EVIL,
        state="failed",
        attempts=3,
        last_status=0,
        last_error=EVIL,
        created_at=EVIL,
        updated_at=EVIL,
    )
    org = Org(EVIL, EVIL, EVIL, (EVIL,))
    page = Tags(
        render(PageView([(org, {EVIL: quota(1, 2)})], [(consume, True)], [delivery], EVIL, EVIL))
    )

    assert "script" not in page.tags
    assert page.text.count(EVIL) >= 9


def test_a_bar_is_full_at_the_limit_and_over_it() -> None:
    """A limit lowered below what was used, and a limit of zero."""
    assert 'class="full" style="width: 100.00%"' in shown(quota(9, 5))
    assert 'class="full" style="width: 100.00%"' in shown(quota(0, 0))


@pytest.mark.parametrize(
    ("used", "level"), [(0, "good"), (7, "good"), (8, "near"), (9, "near"), (10, "full")]
)
def test_a_bar_shows_how_near_the_limit_is(used: int, level: str) -> None:
    """From 80 % on, and at 100 %: in colour, in width, and for who cannot see either."""
    page = shown(quota(used, 10))

    assert f'<i class="{level}" style="width: {used * 10}.00%">' in page
    assert f'aria-valuemax="10" aria-valuenow="{used}"' in page
    assert f"{used} of 10" in page


def test_a_refused_consume_is_told_from_a_counted_one() -> None:
    """It is the one that a developer looks for."""
    consume = CountedConsume(key=None, org_id="o", product="p", resource="r", amount=1, at=NOW)
    counted, refused = (
        Tags(render(replace(EMPTY, consumes=[(consume, allowed)]))).text
        for allowed in (True, False)
    )

    assert ("counted" in counted, "refused" in counted) == (True, False)
    assert ("counted" in refused, "refused" in refused) == (False, True)


def test_times_are_written_to_the_second() -> None:
    """Microseconds are noise here."""
    assert "2025-10-09 08:53:20 UTC" in Tags(render(EMPTY)).text


def test_unlimited_has_no_bar() -> None:
    """There is nothing that it could be full of."""
    assert "meter" not in shown(quota(9, -1))


def test_large_numbers_are_grouped() -> None:
    """Ten million is read at a glance."""
    assert "1,234,567 of 10,000,000" in shown(quota(1_234_567, 10_000_000))


def test_a_long_key_is_shortened_and_whole_in_its_title() -> None:
    """A digest is 64 characters, and the first ones name it."""
    key = "0123456789abcdef" * 4
    consume = CountedConsume(key=key, org_id="o", product="p", resource="r", amount=1, at=NOW)
    page = render(replace(EMPTY, consumes=[(consume, True)]))

    assert f'title="{key}">0123456789abcdef…<' in page


def test_an_empty_platform_says_so() -> None:
    """Instead of empty tables."""
    page = Tags(render(EMPTY))

    assert "table" not in page.tags
    assert "No org yet." in page.text
