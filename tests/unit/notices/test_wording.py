from __future__ import annotations

import pytest

from sidecar.domain.quota import Quota
from sidecar.notices.wording import notice_of

QUOTA = Quota("ai_calls", 25, 20, 5, "month", 1_761_955_200.0)


@pytest.mark.parametrize(
    ("level", "title", "status"),
    [
        (80, "80 % of the quota of AI calls is used", "active"),
        (100, "The quota of AI calls is used up", "active"),
        (0, "The quota of AI calls is sufficient again", "resolved"),
    ],
)
def test_a_notice_says_how_far_it_is(level: int, title: str, status: str) -> None:
    """In words for an org's admin."""
    notice = notice_of("org_acme", "acme-notes", QUOTA, level)
    assert (notice.title, notice.status) == (title, status)


def test_there_is_one_record_for_each_resource() -> None:
    """The source is the resource, not the level."""
    refs = {notice_of("o", "p", QUOTA, level).source_ref for level in (0, 80, 100)}
    assert refs == {"quota:ai_calls"}


def test_a_notice_says_when_it_is_over() -> None:
    """In UTC, as the platform counts months."""
    text = notice_of("o", "p", QUOTA, 80).summary_text
    assert text == "20 of 25 ai_calls used in this month; it starts again on 2025-11-01 00:00 UTC."
