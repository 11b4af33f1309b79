"""The breaker before the platform: pure state, no clock of its own.

It opens after failures in a row, so that a platform that is down costs nothing; from time to time
one call, the probe, goes through to see whether it is back.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import assert_never

from sidecar.domain.errors import SidecarError
from sidecar.domain.quota import FailureKind


class BreakerState(IntEnum):
    """Numbered as the metric `platform_breaker_state` shows it."""

    CLOSED = 0
    HALF = 1  # one call, the probe, may go through; opens or closes with its end
    OPEN = 2


class BreakerMisuseError(SidecarError):
    """A ticket used twice: a fault of the caller."""


class Ticket:
    """Leave to make a call; all calls of one era share it, but for the probe, which has its own.

    What a ticket's call has come to is to be reported with `record`, or `release`, once.
    """

    __slots__ = ("era", "probe")

    def __init__(self, era: int, *, probe: bool) -> None:
        """Name the era of the breaker that let the call through."""
        self.era = era
        self.probe = probe


class Breaker:
    """Counts failures in a row; all times are the caller's `now`, monotonic seconds.

    `steady`: it is closed and nothing has failed, so that a call that went well is no news.
    """

    __slots__ = (
        "_era",
        "_failures",
        "_first_pause",
        "_jitter",
        "_longest_pause",
        "_pause",
        "_probe",
        "_probe_at",
        "_state",
        "_threshold",
        "_ticket",
        "steady",
    )

    def __init__(
        self,
        *,
        jitter: Callable[[], float],
        threshold: int = 5,
        first_pause: float = 1.0,
        longest_pause: float = 15.0,
    ) -> None:
        """Open after `threshold` failures in a row, for `first_pause` seconds at first.

        Each failed probe doubles the pause, up to `longest_pause`. A pause is multiplied by what
        `jitter` yields, at most 1, so that replicas do not probe in step.
        """
        self._jitter = jitter
        self._threshold = threshold
        self._first_pause = first_pause
        self._longest_pause = longest_pause
        self._state = BreakerState.CLOSED
        self._failures = 0
        self._era = 0
        self._pause = first_pause
        self._probe_at = 0.0
        self._ticket = Ticket(0, probe=False)
        self._probe: Ticket | None = None
        self.steady = True

    @property
    def state(self) -> BreakerState:
        """The state, for the metric."""
        return self._state

    def due(self, now: float) -> bool:
        """Say whether a call made at `now` would be let through. Changes nothing."""
        if self._state is BreakerState.OPEN:
            return now >= self._probe_at
        return self._probe is None

    def allow(self, now: float) -> Ticket | None:
        """Give leave for one call, or None: then the call fails at once as BREAKER_OPEN."""
        if self._state is BreakerState.CLOSED:
            return self._ticket
        if not self.due(now):
            return None
        self._state = BreakerState.HALF
        self._probe = Ticket(self._era, probe=True)
        return self._probe

    def record(self, ticket: Ticket, *, ok: bool, now: float) -> None:
        """Record how the call of `ticket` ended; `ok` is whether the platform is healthy.

        The end of a call that was let through before the breaker last opened or closed is no news.
        """
        if ticket.era != self._era:
            return
        if ticket.probe:
            self._end_probe(ticket)
            if ok:
                self._close()
            else:
                self._pause = min(self._pause * 2, self._longest_pause)
                self._open(now)
        elif ok:
            self._failures = 0
            self.steady = True
        else:
            self._failures += 1
            self.steady = False
            if self._failures >= self._threshold:
                self._pause = self._first_pause
                self._open(now)

    def release(self, ticket: Ticket) -> None:
        """Give a ticket back unused, because its caller was cancelled: a probe's place is free."""
        if ticket.probe and ticket.era == self._era:
            self._end_probe(ticket)

    def _end_probe(self, ticket: Ticket) -> None:
        if ticket is not self._probe:
            raise BreakerMisuseError("a probe was given back twice; give each back once")
        self._probe = None

    def _close(self) -> None:
        self._state = BreakerState.CLOSED
        self._failures = 0
        self.steady = True
        self._begin_era()

    def _open(self, now: float) -> None:
        self._state = BreakerState.OPEN
        self.steady = False
        self._probe_at = now + self._pause * self._jitter()
        self._begin_era()

    def _begin_era(self) -> None:
        self._era += 1
        self._ticket = Ticket(self._era, probe=False)


def counts_against(kind: FailureKind) -> bool:
    """Return whether a failure means that the platform is unhealthy, and not that it refused."""
    match kind:
        case (
            FailureKind.CONNECT
            | FailureKind.TIMEOUT
            | FailureKind.RESET
            | FailureKind.RATE_LIMITED
            | FailureKind.SERVER_ERROR
            | FailureKind.UNEXPECTED_STATUS
            | FailureKind.MALFORMED
        ):
            return True
        case (
            FailureKind.CREDENTIAL_REFUSED
            | FailureKind.FORBIDDEN
            | FailureKind.NOT_FOUND
            | FailureKind.CONFLICT
            | FailureKind.UNPROCESSABLE
            | FailureKind.BREAKER_OPEN  # no call was made
            | FailureKind.DISGUISED  # the engine's finding; the platform itself answered
            | FailureKind.OVERLOADED  # our own
        ):
            return False
        case _:
            assert_never(kind)
