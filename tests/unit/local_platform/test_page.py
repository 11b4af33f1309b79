"""The developer's page."""

from __future__ import annotations

from html.parser import HTMLParser

from sidecar.local_platform import CountedConsume
from sidecar.local_platform.directory import Org
from sidecar.local_platform.page import View, render
from sidecar.local_platform.webhook_wire import Delivery
from sidecar.local_platform.wire import QuotaReply

EVIL = "<script>alert(1)</script>\"'&"
EMPTY = View(orgs=[], consumes=[], deliveries=[], faults="")


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
    page = Tags(render(View([(org, {EVIL: quota(1, 2)})], [consume], [delivery], EVIL)))

    assert "script" not in page.tags
    assert page.text.count(EVIL) >= 10


def test_a_bar_is_full_at_the_limit_and_over_it() -> None:
    """A limit lowered below what was used, and a limit of nought."""
    org = Org("o", "o", "pro", ())

    assert 'max="5" value="5"' in render(View([(org, {"r": quota(9, 5)})], [], [], ""))
    assert 'max="1" value="1"' in render(View([(org, {"r": quota(0, 0)})], [], [], ""))


def test_unlimited_has_no_bar() -> None:
    """There is nothing that it could be full of."""
    org = Org("o", "o", "pro", ())

    assert "<progress" not in render(View([(org, {"r": quota(9, -1)})], [], [], ""))


def test_an_empty_platform_says_so() -> None:
    """Instead of empty tables."""
    page = Tags(render(EMPTY))

    assert "table" not in page.tags
    assert "No org yet." in page.text
