"""Changing an org: what is asked for is checked, done, and sent as the platform's events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from sidecar.local_platform.control_wire import Member, OrgBody
from sidecar.local_platform.directory import Directory, Org
from sidecar.local_platform.rejection import bad_field
from sidecar.local_platform.store import Store


@dataclass(frozen=True, slots=True)
class OrgEvent:
    """Something that happened to an org. Sent to `product` alone, or to all products for None."""

    name: str
    org_id: str
    product: str | None
    data: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class _View:
    """An org as far as its events go."""

    org: Org
    limits: Mapping[str, int]
    members: Mapping[str, Member]


@dataclass(frozen=True, slots=True)
class OrgChanges:
    """`PUT /_control/orgs/{id}`: one transaction for the change and for its events.

    Published event names are `org.created`, `member.added` and `entitlement.granted`; the others
    of the same families are ours: `org.updated`, `member.updated`, `member.removed`,
    `entitlement.revoked`, and `entitlement.updated` when plan or limits change. `_announce` is
    called inside the transaction, with the events of one change.
    """

    _store: Store
    _directory: Directory
    _announce: Callable[[Sequence[OrgEvent]], None]

    def put(self, org_id: str, change: OrgBody) -> Org:
        """Make or change an org and return it. Raises Rejection (422) naming what is unknown."""
        with self._store.transaction():
            self._check(org_id, change)
            before = self._view(org_id)
            self._directory.set_org(org_id, change)
            after = self._view(org_id)
            if after is None:
                raise LookupError(f"org {org_id} is gone in the transaction that set it")
            self._announce(list(_events(before, after)))
        return after.org

    def _check(self, org_id: str, change: OrgBody) -> None:
        products = self._directory.products()
        now = self._directory.org(org_id)
        apps = change.apps if change.apps is not None else (now.apps if now else ())
        for app in apps:
            if app not in products:
                detail = f"no product {app!r}; the products are {', '.join(products)}"
                raise bad_field("body", "apps", detail)
        seen: set[str] = set()
        for key in change.keys or ():
            if key.product is not None and key.product not in apps:
                raise bad_field("body", "keys", f"{key.product!r} is not among the org's apps")
            holder = self._directory.org_of_key(key.key)
            if key.key in seen or (holder is not None and holder.org_id != org_id):
                raise bad_field("body", "keys", "a key is given twice, or is another org's")
            seen.add(key.key)

    def _view(self, org_id: str) -> _View | None:
        org = self._directory.org(org_id)
        if org is None:
            return None
        members = {member.user_id: member for member in self._directory.members(org_id)}
        return _View(org, self._directory.limits(org_id), members)


def _events(before: _View | None, after: _View) -> Iterator[OrgEvent]:
    org = after.org
    facts: dict[str, JsonValue] = {
        "name": org.name,
        "plan": org.plan,
        "apps": list(org.apps),
        "quotas": dict(after.limits),
    }
    if before is None:
        yield OrgEvent("org.created", org.id, None, facts)
    elif (before.org.name, before.org.plan) != (org.name, org.plan):
        yield OrgEvent("org.updated", org.id, None, facts)
    yield from _entitlement_events(before, after, facts)
    yield from _member_events(before.members if before else {}, after)


def _entitlement_events(
    before: _View | None, after: _View, facts: Mapping[str, JsonValue]
) -> Iterator[OrgEvent]:
    org = after.org
    had = set(before.org.apps) if before else set()
    has = set(org.apps)
    for app in sorted(has - had):
        yield OrgEvent("entitlement.granted", org.id, app, facts)
    for app in sorted(had - has):
        yield OrgEvent("entitlement.revoked", org.id, app, facts)
    if before and (before.org.plan, before.limits) != (org.plan, after.limits):
        for app in sorted(had & has):
            yield OrgEvent("entitlement.updated", org.id, app, facts)


def _member_events(had: Mapping[str, Member], after: _View) -> Iterator[OrgEvent]:
    has = after.members
    for user_id in sorted(has.keys() | had.keys()):
        old, new = had.get(user_id), has.get(user_id)
        if old == new:
            continue
        name = "added" if old is None else "removed" if new is None else "updated"
        yield OrgEvent(f"member.{name}", after.org.id, None, (new or had[user_id]).model_dump())
