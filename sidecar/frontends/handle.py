"""What a handler of the product gets of the decision that admitted its call."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.domain.model import Decision, Identity, Quota


@dataclass(frozen=True, slots=True)
class QuotaHandle:
    """The decision on the call that a handler answers."""

    decision: Decision
    """Reason, route, request ID and charge."""

    @property
    def identity(self) -> Identity | None:
        """Who calls: verified, and None on a route that needs no identity and had none."""
        return self.decision.identity

    @property
    def quota(self) -> Quota | None:
        """What the platform answered; None where it was not asked, or gave no valid answer."""
        return self.decision.quota
