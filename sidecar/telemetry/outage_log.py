"""One line for an outage of the platform, and one for its end, however many orgs it meets."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from sidecar.domain.model import Charge
from sidecar.domain.quota import FailureKind

QUIET_SECONDS: Final = 10.0
"""An outage has ended when the platform answers and nothing passed unconfirmed for this long: one
that answers every other call is one outage, and not hundreds."""

_log = logging.getLogger("sidecar.events")


class OutageLog:
    """Counts what passes without a valid answer of the platform, until that answers again."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._started = 0.0
        self._last = 0.0
        self._slots = 0
        self.calls = 0  # of the outage that goes on: none, then 0
        self._units: dict[str, int] = {}

    def admitted(self, charge: Charge, kind: FailureKind, *, first: bool) -> None:
        """Count a call that passes unconfirmed; log where an outage starts with it."""
        self._last = self._monotonic()
        if not self.calls:
            self._started = self._last
            _log.warning(
                "fail_open_started",
                extra={
                    "org": charge.org_id,
                    "resource": charge.resource,
                    "kind": kind.value,
                    "meaning": "calls of any org are admitted without a platform answer",
                },
            )
        self.calls += 1
        self._slots += first
        self._units[charge.resource] = self._units.get(charge.resource, 0) + charge.amount

    def answered(self) -> None:
        """Note a valid answer; log where the outage has ended with it."""
        if not self.calls or self._monotonic() - self._last < QUIET_SECONDS:
            return
        _log.warning(
            "fail_open_ended",
            extra={
                "seconds": round(self._last - self._started, 1),
                "calls": self.calls,
                "orgs": self._slots,
                "units": dict(self._units),
            },
        )
        self._slots = self.calls = 0
        self._units.clear()
