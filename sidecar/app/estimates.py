"""What calls may cost, read from their bodies as the rule of their route says."""

from __future__ import annotations

from collections.abc import Generator

from sidecar.domain.by_rule import ByRule
from sidecar.domain.model import Headers
from sidecar.domain.usage import Estimate, UsageRule
from sidecar.policy.content_coding import UndecodableError, coding_of
from sidecar.usage.estimate import Estimator
from sidecar.usage.formats import choices_of


class RequestEstimates:
    """Satisfies `sidecar.domain.ports.Estimates`."""

    def __init__(self) -> None:
        self._estimators = ByRule(_estimator_of)

    def short(self, rule: UsageRule, body: bytes) -> Estimate | None:
        """Read a short body at once; None for one that is to be read in slices."""
        return self._estimators.of(rule).short(body)

    def reading(
        self, rule: UsageRule, headers: Headers, body: bytes, limit: int
    ) -> Generator[None, None, Estimate]:
        """Read a body in slices; one with several content codings says nothing."""
        try:
            coding = coding_of(headers)
        except UndecodableError:
            return Estimate(0, None, None)
        return (yield from self._estimators.of(rule).reading(body, coding, limit))


def _estimator_of(rule: UsageRule) -> Estimator:
    return Estimator(
        rule.hold, model=bool(rule.models), choices=choices_of(rule), stream=rule.request_usage
    )
