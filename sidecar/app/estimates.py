"""What calls may cost, read from their bodies as the rule of their route says."""

from __future__ import annotations

from collections.abc import Generator
from functools import lru_cache
from typing import Final

from sidecar.domain.model import Headers
from sidecar.domain.usage import Estimate, UsageRule
from sidecar.policy.content_coding import UndecodableError, coding_of
from sidecar.usage.estimate import Estimator

READERS_KEPT: Final = 1024
"""One for each hold of a policy; what a reload leaves behind goes first."""

_reader_of = lru_cache(maxsize=READERS_KEPT)(Estimator)


class RequestEstimates:
    """Satisfies `sidecar.domain.ports.Estimates`."""

    def reading(
        self, rule: UsageRule, headers: Headers, body: bytes, limit: int
    ) -> Generator[None, None, Estimate]:
        """Read a body in slices; one with several content codings says nothing."""
        try:
            coding = coding_of(headers)
        except UndecodableError:
            return Estimate(0, None, None)
        return (yield from _reader_of(rule.hold).reading(body, coding, limit))
