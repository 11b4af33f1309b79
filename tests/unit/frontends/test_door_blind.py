"""A door that never sees an answer refuses what is charged by it."""

from __future__ import annotations

import pytest

from sidecar.domain.choices import Refund
from sidecar.domain.model import AttemptEnd, Call, Decision, Permit, Reason, RequestIdOrigin
from sidecar.domain.usage import Terms
from tests.fakes.doors import NoBody, OneDoor
from tests.fakes.engines import AllowingEngine
from tests.unit.admission.usage_rules import terms

CALL = Call("POST", "/chat", "", [], "id", RequestIdOrigin.GENERATED)


class KeepingEngine(AllowingEngine):
    """Allows with a permit of its own kind."""

    def __init__(self, refund: Refund, settled_by: Terms | None) -> None:
        super().__init__()
        self._refund = refund
        self._terms = settled_by

    def allow(self, call: Call, reason: Reason = Reason.WITHIN_QUOTA) -> Decision:
        permit = Permit("id", "route", None, False, self._refund, None, terms=self._terms)
        self.permits.append(permit)
        return Decision(reason, "route", "id", permit)


@pytest.mark.parametrize(
    ("refund", "settled_by", "status"),
    [
        (Refund.UNREACHED, None, None),
        (Refund.NEVER, None, None),
        (Refund.FAILED, None, 500),
        (Refund.UNREACHED, terms(), 500),
    ],
)
async def test_what_needs_the_answer_is_refused(
    refund: Refund, settled_by: Terms | None, status: int | None
) -> None:
    """And gives its units back: the product is not reached."""
    visit = await OneDoor(engine := KeepingEngine(refund, settled_by)).one.enter(CALL, NoBody())
    visit.refuse_unkept()
    assert (visit.answer and visit.answer.status) == status
    visit.end(500, AttemptEnd.UNREACHED)
    assert engine.executions == [AttemptEnd.UNREACHED]
