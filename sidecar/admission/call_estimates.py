"""What calls may cost, as their requests say: read before they pass, or after their answers.

Most answers name what they cost. So a short request is kept, and read only where its answer does
not, unless something depends on it before: a hold, or a note of what a killed process would owe.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sidecar.domain.choices import Enforcement, OnOverQuota
from sidecar.domain.model import Call, Headers
from sidecar.domain.ports import BodySource, Estimates
from sidecar.domain.turns import turns
from sidecar.domain.usage import Estimate, OnMissing, Terms, Usage, UsageRule
from sidecar.policy.compiled import Meter
from sidecar.policy.json_text import at_once

KEPT: Final = 4 * 1024
"""Bytes of a request that is kept while its call runs."""

NOTHING_KNOWN: Final = Estimate(0, None, None)
"""What is known of a call whose body cannot be read."""


class ReadOnce:
    """A body that both the price and the estimate are read from. Satisfies `BodySource`."""

    def __init__(self, body: BodySource) -> None:
        """Read `body` once, however often this is read."""
        self._body = body
        self._content: bytes | None = None
        self._read = False

    async def read(self, limit: int, holder: str = "", decoder: int = 0) -> bytes | None:
        """Return the whole body; None when it is longer than `limit`, the same at each read."""
        if not self._read:
            self._content = await self._body.read(limit, holder, decoder)
            self._read = True
        return self._content


class CallEstimates:
    """Reads requests as the rules of their routes say."""

    def __init__(self, estimates: Estimates | None, *, lasting: bool) -> None:
        """Read by `estimates`; without it nothing is known of a call before its answer.

        `lasting`: a note of what a killed process would owe outlives it.
        """
        self._estimates = estimates
        self._lasting = lasting

    async def read(
        self, call: Call, meter: Meter, usage: UsageRule, body: BodySource, org: str
    ) -> Estimate:
        """Read what a call may cost from its body; one that cannot be read says nothing.

        Raises NoRoomError where there is no memory for it.
        """
        if self._estimates is None:
            return NOTHING_KNOWN
        limit, compressed = meter.body_limit, _is_compressed(call.headers)
        content = await body.read(limit, org, limit if compressed else 0)
        if content and not compressed:
            holds = usage.hold is not None and not forgives(meter)
            noted = self._lasting or usage.missing is OnMissing.HOLD
            if len(content) <= KEPT and not holds and not noted:
                return Estimate(0, None, None, unread=content)
            found = self._estimates.short(usage, content)
            if found is not None:
                return found
        return await self.read_content(content, call.headers, meter, usage, org)

    async def read_content(
        self, content: bytes | None, headers: Headers, meter: Meter, usage: UsageRule, org: str
    ) -> Estimate:
        """Read what a call may cost from the content of its body, None where that is not known."""
        if self._estimates is None or not content:
            return NOTHING_KNOWN
        reading = self._estimates.reading(usage, headers, content, meter.body_limit)
        return await turns().run(reading, org)

    def completed(self, terms: Terms, usage: Usage) -> Terms:
        """Return terms with the estimate of a request that was kept, where the answer needs it."""
        body, rule = terms.estimate.unread, terms.rule
        named = usage.missing is None and not (rule.models and usage.model is None)
        if named or self._estimates is None:
            return terms
        reading = self._estimates.reading(rule, (), body, KEPT)
        return replace(terms, estimate=at_once(reading))


def forgives(meter: Meter) -> bool:
    """Say whether what the quota does not cover of a cost has no consequence."""
    shadow = meter.enforcement is Enforcement.SHADOW
    return shadow or meter.on_over_quota is OnOverQuota.ALLOW


def _is_compressed(headers: Headers) -> bool:
    for name, _ in headers:  # noqa: SIM110 - a generator would cost twice as much
        if name == b"content-encoding":
            return True
    return False
