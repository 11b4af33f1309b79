"""What a door does that never sees the answer, with a call that is charged by its answer."""

from __future__ import annotations

from sidecar.answers.failures import fault
from sidecar.domain.choices import Refund
from sidecar.frontends.door import Visit


def refuse_unkept(visit: Visit) -> None:
    """Refuse a call with 500 that this door would charge wrongly: it is for ext_proc.

    The caller ends the visit as unreached.
    """
    permit = visit.decision.permit
    if permit is not None and (permit.terms is not None or permit.refund is Refund.FAILED):
        visit.refuse_with(fault(visit.decision))
