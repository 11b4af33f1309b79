"""The words of the domain hold together: no word means two things."""

from __future__ import annotations

import pytest

from sidecar.domain.model import Reason, Verdict
from sidecar.domain.quota import FailureKind, Quota

ALLOWING = {
    "within_quota",
    "leased",
    "credited",
    "unlimited",
    "unmetered",
    "over_quota_allowed",
    "shadow",
    "fail_open",
    "last_known",
}
"""The reasons that the interface's table of reasons lists as allowing."""

MARKED = {"over_quota_allowed", "shadow", "fail_open", "last_known"}
"""Those of them that it lists as marked."""


@pytest.mark.parametrize("reason", list(Reason))
def test_reason_has_the_verdict_of_the_interface(reason: Reason) -> None:
    """What allows is listed; whatever is not listed denies."""
    expected = Verdict.ALLOW if str(reason) in ALLOWING else Verdict.DENY
    assert reason.verdict is expected


@pytest.mark.parametrize("reason", list(Reason))
def test_reason_is_marked_as_the_interface_says(reason: Reason) -> None:
    """A caller sees which allowed answers rest on no trusted quota."""
    assert reason.marked == (str(reason) in MARKED)


@pytest.mark.parametrize("kind", list(FailureKind))
def test_failure_with_unknown_result_is_not_permanent(kind: FailureKind) -> None:
    """What may have been counted is asked about again, so it cannot be given up for good."""
    assert not (kind.result_unknown and kind.permanent)


@pytest.mark.parametrize("kind", [FailureKind.TIMEOUT, FailureKind.RESET, FailureKind.MALFORMED])
def test_half_an_answer_leaves_the_result_unknown(kind: FailureKind) -> None:
    """The platform may have counted before the answer was lost: the key must be kept."""
    assert kind.result_unknown


@pytest.mark.parametrize("kind", [FailureKind.CONNECT, FailureKind.BREAKER_OPEN])
def test_what_was_never_sent_was_never_counted(kind: FailureKind) -> None:
    """No byte went out, so nothing is in doubt."""
    assert not kind.result_unknown


@pytest.mark.parametrize(("limit", "unlimited"), [(-1, True), (0, False), (25, False)])
def test_only_minus_one_is_unlimited(limit: int, *, unlimited: bool) -> None:
    """A limit of 0 is a limit."""
    quota = Quota("ai_calls", limit=limit, used=0, remaining=limit, period="month", reset_at=0.0)
    assert quota.unlimited is unlimited
