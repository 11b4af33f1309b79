"""What the platform last answered on the most recent orgs, bounded however many orgs there are."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from sidecar.domain.model import Quota


class RecentOrgs:
    """The `cap` most recent orgs, each with its resources."""

    __slots__ = ("_cap", "_orgs")

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._orgs: OrderedDict[str, dict[str, Quota]] = OrderedDict()

    def seen(self, org_id: str, quota: Quota) -> None:
        """Keep a quota, and drop the org that has been here longest without a new one."""
        try:
            resources = self._orgs[org_id]
        except KeyError:
            resources = self._orgs[org_id] = {}
        else:
            self._orgs.move_to_end(org_id)
        resources[quota.resource] = quota
        if len(self._orgs) > self._cap:
            self._orgs.popitem(last=False)

    def limited(self) -> Iterator[tuple[str, Quota]]:
        """Give org and quota of each that has a limit: -1 as a number would read as a debt."""
        for org_id, resources in list(self._orgs.items()):
            for quota in list(resources.values()):
                if not quota.unlimited:
                    yield org_id, quota
