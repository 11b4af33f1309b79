from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.model import Quota
from sidecar.telemetry.recent_orgs import RecentOrgs


def quota(limit: int = 25, used: int = 0, resource: str = "ai_calls") -> Quota:
    """What the platform might tell."""
    return Quota(resource, limit, used, limit - used, "month", 0.0)


def test_the_last_word_counts() -> None:
    """Per org and resource."""
    orgs = RecentOrgs(10)
    orgs.seen("a", quota(used=1))
    orgs.seen("a", quota(used=2))
    assert list(orgs.limited()) == [("a", quota(used=2))]


def test_an_org_that_is_told_of_again_is_kept() -> None:
    """The one told of longest ago goes."""
    orgs = RecentOrgs(2)
    for org in ("a", "b", "a", "c"):
        orgs.seen(org, quota())
    assert [org for org, _ in orgs.limited()] == ["a", "c"]


def test_an_unlimited_org_has_no_numbers() -> None:
    """-1 in a gauge would read as a debt; a limit that goes takes its series along."""
    orgs = RecentOrgs(2)
    orgs.seen("a", quota())
    orgs.seen("a", quota(limit=-1))
    assert list(orgs.limited()) == []


@given(st.lists(st.text(max_size=3)), st.integers(0, 5))
def test_there_are_never_more_than_the_cap(names: list[str], cap: int) -> None:
    """Nor fewer than there could be."""
    orgs = RecentOrgs(cap)
    for name in names:
        orgs.seen(name, quota())
    assert len(list(orgs.limited())) == min(cap, len(set(names)))
