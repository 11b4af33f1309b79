from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.quota import UNLIMITED, Quota
from sidecar.notices.levels import ToldLevels, level_of

LEVELS = (80, 100)
SLOT = ("org_acme", "ai_calls")


def quota(used: int, limit: int = 25) -> Quota:
    """A state of the month."""
    return Quota("ai_calls", limit, used, max(0, limit - used), "month", 100.0)


@pytest.mark.parametrize(
    ("used", "level"), [(0, 0), (19, 0), (20, 80), (24, 80), (25, 100), (30, 100)]
)
def test_a_level_is_reached_to_the_unit(used: int, level: int) -> None:
    """Of 25, four fifths are 20."""
    assert level_of(quota(used), LEVELS) == level


@pytest.mark.parametrize("limit", [UNLIMITED, 0])
def test_a_quota_that_cannot_be_used_up_has_no_level(limit: int) -> None:
    """Whatever was used."""
    assert level_of(quota(10, limit), LEVELS) == 0


@given(st.integers(1, 2**53), st.integers(0, 2**53))
def test_a_level_is_what_arithmetic_says(limit: int, used: int) -> None:
    """In whole numbers, however large."""
    level = level_of(quota(used, limit), LEVELS)
    assert used * 100 >= level * limit
    assert all(used * 100 < higher * limit for higher in LEVELS if higher > level)


def test_a_level_is_news_once() -> None:
    """Then the next one, and the fall when the plan is raised."""
    told = ToldLevels()
    seen = [0, 80, 80, 100, 100, 0, 0]
    news = [told.is_news(SLOT, level, 100.0) for level in seen]
    assert news == [False, True, False, True, False, True, False]


def test_a_level_of_a_new_period_is_news() -> None:
    """The same 80 %, of another month."""
    told = ToldLevels()
    assert [told.is_news(SLOT, 80, reset_at) for reset_at in (100.0, 100.0, 200.0)] == [
        True, False, True,
    ]  # fmt: skip


def test_a_new_period_ends_what_was_told() -> None:
    """Else the record would say "used up" into the next month."""
    told = ToldLevels()
    told.is_news(SLOT, 100, 100.0)
    assert told.is_news(SLOT, 0, 200.0)


def test_what_did_not_arrive_is_news_again() -> None:
    """At the next look."""
    told = ToldLevels()
    told.is_news(SLOT, 80, 100.0)
    told.forget(SLOT)
    assert told.is_news(SLOT, 80, 100.0)


def test_what_is_remembered_is_bounded() -> None:
    """The one told longest ago is told again, which an upsert bears."""
    told = ToldLevels(capacity=1)
    told.is_news(SLOT, 80, 100.0)
    told.is_news(("org_b", "ai_calls"), 80, 100.0)
    assert told.is_news(SLOT, 80, 100.0)
