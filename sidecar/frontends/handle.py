"""What a handler of the product gets of the decision that admitted its call."""

from __future__ import annotations

from typing import Final

from sidecar.domain.model import Decision, Identity
from sidecar.domain.quota import Quota
from sidecar.frontends.door import Visit


class QuotaHandle:
    """The decision on the call that a handler answers, and what the call has cost."""

    __slots__ = ("_visit", "decision")

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self.decision: Final[Decision] = visit.decision
        """Reason, route, request ID and charge."""

    @property
    def identity(self) -> Identity | None:
        """Who calls: verified, and None on a route that needs no identity and had none."""
        return self.decision.identity

    @property
    def quota(self) -> Quota | None:
        """What the platform answered; None where it was not asked, or gave no valid answer."""
        return self.decision.quota

    def settle(self, units: int) -> None:
        """Name the whole cost of the call in units, what was consumed before it ran included.

        The last call before the answer ends decides, whatever the answer says or its status is. A
        call that was not charged costs nothing. Raises SettleError.
        """
        self._visit.settle(units)
