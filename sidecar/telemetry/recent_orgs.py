"""What the platform last told of the most recent orgs, bounded however many orgs there are."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from sidecar.domain.model import Quota


class RecentOrgs:
    """The `cap` orgs that were told of last, each with its resources."""

    __slots__ = ("_cap", "_orgs")

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._orgs: OrderedDict[str, dict[str, Quota]] = OrderedDict()

    def seen(self, org_id: str, quota: Quota) -> None:
        """Keep what was told, and let go of the org that was told of longest ago."""
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
