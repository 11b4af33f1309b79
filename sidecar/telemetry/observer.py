"""What the parts report: always counted, and logged where an operator should see it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from typing_extensions import override

from sidecar.domain.model import Charge, Failed, FailureKind, Loss, Quota
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.outage_log import OutageLog

_log = logging.getLogger("sidecar.events")

_OUR_MISTAKE: Final = {
    FailureKind.CREDENTIAL_REFUSED: "the platform refuses the key: renew PLATFORM_INTERNAL_KEY",
    FailureKind.FORBIDDEN: "the platform forbids this product or org: check the registration",
    FailureKind.NOT_FOUND: "the platform does not know the path: check --platform-url",
    FailureKind.UNPROCESSABLE: "the platform does not take the charge: check the policy's resource",
}
"""Failures that waiting does not end, each with what does."""

_NOT_REACHED: Final = {
    "tls": "check the platform's certificate, and the CA that this process trusts (SSL_CERT_FILE)",
    "connect": "check --platform-url, its name in DNS, the proxy, and what egress is allowed",
    "connect_timeout": "check --platform-url, the proxy, and what egress is allowed",
    "pool_exhausted": "the platform answers more slowly than calls come: look at its latency",
}
"""Why no connection to the platform is had, each with a hint."""

_MISREAD: Final = "check --platform-url, and what answers for the platform on the way"

_FETCHED: Final = "ok"
"""The one outcome of a key set fetch that is no failure."""


class Observer(Metrics):
    """All observers of sidecar.domain.ports in one. One line an event, never one a request.

    What repeats is held back by the log's filter under its `repeat_key`.
    """

    def __init__(self, *, version: str, orgs: int = 100) -> None:
        """Start at zero, without a listener to quotas."""
        super().__init__(version=version, orgs=orgs)
        self._tell_quota: Callable[[str, Quota], None] | None = None
        self._outage = OutageLog()
        self._ignored_keys = ""
        self._cause = ""

    def tell_quotas_to(self, listener: Callable[[str, Quota], None]) -> None:
        """Report to `listener` the org and quota of each valid answer."""
        self._tell_quota = listener

    @override
    def platform_degraded(self, kind: FailureKind) -> None:
        super().platform_degraded(kind)
        mend = _OUR_MISTAKE.get(kind)
        if mend is not None:
            _log.error(
                "platform_refuses",
                extra={"kind": kind.value, "mend": mend, "repeat_key": kind.value},
            )

    @override
    def consume_failed(self, failed: Failed) -> None:
        """Log a cause when it changes, and again when the platform has answered in between."""
        if failed.cause == self._cause:
            return
        self._cause = failed.cause
        unread = failed.kind is FailureKind.MALFORMED
        _log.warning(
            "platform_malformed" if unread else "platform_not_reached",
            extra={
                "field" if unread else "cause": failed.cause,
                "detail": failed.detail,
                "hint": _MISREAD if unread else _NOT_REACHED.get(failed.cause, ""),
                "repeat_key": failed.cause,
            },
        )

    @override
    def admitted_unconfirmed(self, charge: Charge, kind: FailureKind, *, first: bool) -> None:
        self._outage.admitted(charge, kind, first=first)

    @override
    def quota_seen(self, org_id: str, quota: Quota) -> None:
        super().quota_seen(org_id, quota)
        self._cause = ""
        if self._outage.open:
            self._outage.answered()
        if self._tell_quota is not None:
            self._tell_quota(org_id, quota)

    @override
    def journal_replayed(self, outcome: str, units: int) -> None:
        super().journal_replayed(outcome, units)
        _log.info(
            "journal_replayed", extra={"outcome": outcome, "units": units, "repeat_key": outcome}
        )

    @override
    def journal_dropped(self, units: int) -> None:
        super().journal_dropped(units)
        _log.error("journal_dropped", extra={"units": units, "repeat_key": ""})

    @override
    def credits_lost(self, units: int, cause: Loss) -> None:
        super().credits_lost(units, cause)
        extra = {"units": units, "cause": cause.value, "repeat_key": cause.value}
        _log.warning("credits_lost", extra=extra)

    @override
    def keys_refreshed(self, outcome: str, keys: int, detail: str = "") -> None:
        before = self.keys
        super().keys_refreshed(outcome, keys, detail)
        if outcome != _FETCHED:
            _log.warning(
                "keys_not_refreshed",
                extra={
                    "outcome": str(outcome),
                    "keys": keys,
                    "detail": detail,
                    "repeat_key": str(outcome),
                },
            )
        elif detail != self._ignored_keys:  # once for each change: a fetch comes every 10 min
            self._ignored_keys = detail
            if detail:
                _log.warning("keys_ignored", extra={"keys": keys, "detail": detail})
        if keys != before:
            _log.info("keys_changed", extra={"keys": keys, "before": before})
