"""Which events a change of an org makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from sidecar.domain.model import Resource
from sidecar.local_platform import Member, OrgBody, Rejection
from sidecar.local_platform.directory import Directory
from sidecar.local_platform.org_changes import OrgChanges, OrgEvent
from sidecar.local_platform.store import Store
from tests.fakes.clock import TurnedClock
from tests.unit.local_platform import acme


class Desk:
    """Changes, and the events that they made."""

    def __init__(self, clock: TurnedClock) -> None:
        self.store = Store(None)
        self.told: list[OrgEvent] = []
        directory = Directory(self.store, clock)
        with self.store.transaction():
            directory.apply(acme.seed())
        self.changes = OrgChanges(self.store, directory, self._tell)

    def _tell(self, events: Sequence[OrgEvent]) -> None:
        self.told.extend(events)

    def put(self, org_id: str, change: OrgBody) -> list[tuple[str, str | None]]:
        """Change, and return the events as (name, product)."""
        self.told.clear()
        self.changes.put(org_id, change)
        return [(event.name, event.product) for event in self.told]


@pytest.fixture
def desk(clock: TurnedClock) -> Iterator[Desk]:
    """A desk with the acme seed."""
    made = Desk(clock)
    yield made
    made.store.close()


def test_a_new_org_is_created_and_entitled(desk: Desk) -> None:
    """The published names."""
    change = OrgBody(apps=["acme-notes", "other"], members=[Member(user_id="eve")])

    assert desk.put("org_new", change) == [
        ("org.created", None),
        ("entitlement.granted", "acme-notes"),
        ("entitlement.granted", "other"),
        ("member.added", None),
    ]


@pytest.mark.parametrize(
    ("change", "events"),
    [
        (OrgBody(), []),
        (OrgBody(plan="pro"), []),
        (OrgBody(plan="max"), [("org.updated", None), ("entitlement.updated", "acme-notes")]),
        (OrgBody(name="Acme"), [("org.updated", None)]),
        (OrgBody(quotas={Resource.AI_CALLS: 26}), [("entitlement.updated", "acme-notes")]),
        (OrgBody(apps=["acme-notes", "other"]), [("entitlement.granted", "other")]),
        (OrgBody(apps=[]), [("entitlement.revoked", "acme-notes")]),
        (OrgBody(members=[]), [("member.removed", None)]),
        (
            OrgBody(members=[Member(user_id="ann", role="member")]),
            [("member.updated", None)],
        ),
    ],
)
def test_a_change_is_told_by_what_changed(
    desk: Desk, change: OrgBody, events: list[tuple[str, str | None]]
) -> None:
    """No event for what stayed the same."""
    assert desk.put(acme.ORG, change) == events


def test_an_event_carries_the_org_as_it_is_now(desk: Desk) -> None:
    """Plan, apps and limits after the change."""
    desk.put(acme.ORG, OrgBody(plan="max"))

    assert desk.told[0].data == {
        "name": acme.ORG,
        "plan": "max",
        "apps": ["acme-notes"],
        "quotas": {"ai_calls": 25, "api_calls": -1},
    }


def test_what_cannot_be_told_is_not_changed(desk: Desk, clock: TurnedClock) -> None:
    """The change and its events are one transaction."""

    def fail(_events: Sequence[OrgEvent]) -> None:
        raise RuntimeError("no room")

    directory = Directory(desk.store, clock)
    with pytest.raises(RuntimeError, match="no room"):
        OrgChanges(desk.store, directory, fail).put(acme.ORG, OrgBody(plan="max"))

    org = directory.org(acme.ORG)
    assert org is not None
    assert org.plan == "pro"


def test_an_unknown_product_is_named(desk: Desk) -> None:
    """With those that there are."""
    with pytest.raises(Rejection, match="no product 'x'; the products are acme-notes, other"):
        desk.put(acme.ORG, OrgBody(apps=["x"]))
