"""What the parts report: always counted, and logged where an operator should see it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from typing_extensions import override

from sidecar.domain.credentials import IdentityFailure
from sidecar.domain.model import Charge, Loss, Unreported
from sidecar.domain.quota import Failed, FailureKind, Quota
from sidecar.domain.seen import WELL, Seen
from sidecar.telemetry import catalogue as c
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.outage_log import OutageLog
from sidecar.telemetry.series import Labels

_log = logging.getLogger("sidecar.events")

_OUR_MISTAKE: Final = {
    FailureKind.CREDENTIAL_REFUSED: "the platform refuses the key: give the product's own"
    " bbas_ key (PLATFORM_INTERNAL_KEY, or --key-file)",
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

TOKENS_FAIL: Final = {
    IdentityFailure.WRONG_ISSUER: "compare --issuer (SIDECAR_ISSUER) with `iss` of a token",
    IdentityFailure.UNKNOWN_KEY: "check --auth-url: its key set has no key of that `kid`",
    IdentityFailure.KEYS_UNAVAILABLE: "check --auth-url: no key set could be fetched from it yet",
    IdentityFailure.NOT_YET_VALID: "set this machine's clock (NTP), or that of the auth host",
}
"""Why good tokens may be refused, each with what to check."""

_DROPPED: Final = {
    Unreported.EXPIRED: "they cannot be recovered: record the number",
    Unreported.REFUSED: "see `platform_refuses`: does the org or the resource still exist?",
    Unreported.STOPPED: "give it a journal that outlives the process (--journal FILE)",
    Unreported.UNWRITABLE: "free or repair the journal's disk",
}
"""What to do about units that are never reported."""

PRODUCT_FAILS: Final = {
    "connect": "check --upstream, and that the product listens there",
    "tls": "check the product's certificate, its CA (SSL_CERT_FILE), and --upstream",
    "connect_timeout": "check --upstream, and what the network allows",
    "first_byte_timeout": "see why the product is slow, or raise --first-byte-timeout",
    "idle_timeout": "see why the product stops in the middle of a body",
    "pool_exhausted": "see why the product is slow, or raise --upstream-connections",
    "closed_early": "see the product's log, and that the scheme of --upstream is right",
    "cut_off": "see the product's log: it ended in the middle of its answer",
    "protocol": "check that --upstream is an HTTP/1.1 server; fix what `error` names",
}
"""What to do where the product gives no whole answer."""

_NO_CONNECTION: Final = frozenset({"connect", "tls", "connect_timeout", "pool_exhausted"})

_MISREAD: Final = "check --platform-url, and what answers for the platform on the way"

_KEYS_FAIL: Final = "check --auth-url (AUTH_SERVICE_URL), and what egress is allowed to it"
"""What to do where the key set cannot be fetched."""

_FETCHED: Final = "ok"
"""The one outcome of a key set fetch that is no failure."""


class Observer(Metrics):
    """All observers of sidecar.domain.ports in one. One line an event, never one a request.

    What repeats is held back by the log's filter under its `repeat_key`.
    """

    def __init__(self, *, build: Labels, orgs: int = 100) -> None:
        """Start at zero, without a listener to quotas."""
        super().__init__(build=build, orgs=orgs)
        self._report_quota: Callable[[str, Quota], None] | None = None
        self._outage = OutageLog()
        self._ignored_keys = ""
        self._cause = ""
        self._why = ""

    def report_quotas_to(self, listener: Callable[[str, Quota], None]) -> None:
        """Report to `listener` the org and quota of each valid answer."""
        self._report_quota = listener

    def upstream_failed(self, kind: str, detail: str) -> None:
        """Log each cause; what has been seen of the product is its failure until it answers."""
        self._counts[c.UPSTREAM_ERRORS.name].add((kind,))
        hint = PRODUCT_FAILS.get(kind, "")
        self.upstream_seen = Seen(asked=True, problem=f"{kind}: {detail}: {hint}")
        _log.warning(
            "upstream_unreachable" if kind in _NO_CONNECTION else "upstream_failed",
            extra={
                "kind": str(kind),
                "error": detail,
                "hint": hint,
                "repeat_key": f"{kind} {detail}",
            },
        )

    def identity_failed(self, kind: IdentityFailure) -> None:
        """Log what may be a mistake of the setup; bad tokens of callers are only counted."""
        self._counts[c.IDENTITY_FAILURES.name].add((kind,))
        hint = TOKENS_FAIL.get(kind)
        if hint is not None:
            if self.tokens_seen is not WELL:
                problem = f"none accepted yet, the last was {kind.value}: {hint}"
                self.tokens_seen = Seen(asked=True, problem=problem)
            _log.warning(
                "tokens_refused",
                extra={"kind": kind.value, "hint": hint, "repeat_key": kind.value},
            )

    @override
    def _failure_of(self, outcome: str) -> Seen:
        known = {kind.value: text for kind, text in _OUR_MISTAKE.items()}
        why = known.get(outcome) or self._why.removeprefix(f"{outcome}: ")
        return Seen(asked=True, problem=f"the last call failed: {outcome}" + f": {why}" * bool(why))

    def platform_degraded(self, kind: FailureKind) -> None:
        """Count a call decided without the platform; log what waiting does not end."""
        self._counts[c.DEGRADED.name].add((kind,))
        hint = _OUR_MISTAKE.get(kind)
        if hint is not None:
            _log.error(
                "platform_refuses",
                extra={"kind": kind.value, "hint": hint, "repeat_key": kind.value},
            )

    def consume_failed(self, failed: Failed) -> None:
        """Log a cause when it changes, and again when the platform has answered in between."""
        self._why = f"{failed.cause}: {failed.detail}"
        if failed.cause == self._cause:
            return
        self._cause = failed.cause
        cause, detail = failed.cause, failed.detail
        if failed.kind is FailureKind.MALFORMED:
            extra = {"field": cause, "detail": detail, "hint": _MISREAD, "repeat_key": cause}
            _log.warning("platform_malformed", extra=extra)
        else:
            hint = _NOT_REACHED.get(cause, "")
            _log.warning(
                "platform_not_reached",
                extra={"cause": cause, "detail": detail, "hint": hint, "repeat_key": cause},
            )

    def admitted_unconfirmed(self, charge: Charge, kind: FailureKind, *, first: bool) -> None:
        """Log when calls begin to pass unconfirmed; their units are counted as admitted."""
        self._outage.admitted(charge, kind, first=first)

    def quota_seen(self, org_id: str, quota: Quota) -> None:
        """Note that the platform answers; a scrape reads the quotas from the ledger."""
        self._cause = self._why = ""
        self.tokens_seen = WELL
        if self._outage.calls:
            self._outage.answered()
        if self._report_quota is not None:
            self._report_quota(org_id, quota)

    def journal_replayed(self, outcome: str, units: int) -> None:
        """Report units that were reported to the platform later."""
        self._counts[c.JOURNAL_REPLAYED.name].add((outcome,), units)
        # An entry whose result is unknown was not reported: it stays in the journal.
        extra = {"outcome": outcome, "units": units, "repeat_key": outcome}
        if outcome == "unknown":
            _log.info("journal_not_reported", extra=extra)
        else:
            _log.info("journal_replayed", extra=extra)

    def journal_dropped(self, units: int, cause: Unreported) -> None:
        """Report units that were given up."""
        self._counts[c.JOURNAL_DROPPED.name].add((), units)
        hint = _DROPPED[cause]
        extra = {"units": units, "cause": cause.value, "hint": hint, "repeat_key": cause.value}
        _log.error("journal_dropped", extra=extra)

    def credits_lost(self, units: int, cause: Loss) -> None:
        """Report paid units that were given up unused."""
        self._counts[c.CREDITS_LOST.name].add((cause,), units)
        extra = {"units": units, "cause": cause.value, "repeat_key": cause.value}
        _log.warning("credits_lost", extra=extra)

    def keys_refreshed(self, outcome: str, keys: int, detail: str = "") -> None:
        """Report a fetch of the key set, and how many keys are trusted now."""
        self._counts[c.JWKS_REFRESH.name].add((outcome,))
        before, self.keys = self.keys, keys
        if outcome != _FETCHED:
            _log.warning(
                "keys_not_refreshed",
                extra={
                    "outcome": str(outcome),
                    "keys": keys,
                    "detail": detail,
                    "hint": _KEYS_FAIL,
                    "repeat_key": str(outcome),
                },
            )
        elif detail != self._ignored_keys:  # once for each change: a fetch comes every 10 min
            self._ignored_keys = detail
            if detail:
                _log.warning("keys_ignored", extra={"keys": keys, "detail": detail})
        if keys != before:
            _log.info("keys_changed", extra={"keys": keys, "before": before})
