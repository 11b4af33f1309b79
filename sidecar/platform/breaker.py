"""The breaker before the platform: pure state, one table, no clock of its own.

It opens after failures in a row, so that a platform that is down costs nothing; from time to time
one call, the probe, goes through to see whether it is back.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, IntEnum, auto
from typing import Final, assert_never

from sidecar.domain.errors import SidecarError
from sidecar.domain.quota import FailureKind


class BreakerState(IntEnum):
    """Numbered as the metric `platform_breaker_state` shows it."""

    CLOSED = 0
    HALF = 1
    OPEN = 2


class BreakerEvent(Enum):
    """What can happen to the breaker."""

    SUCCEEDED = auto()  # a call went well
    FAILED = auto()  # a call failed, and more may
    TRIPPED = auto()  # a call failed, and that was one too many
    COOLED = auto()  # the time for a probe has come
    PROBE_SUCCEEDED = auto()
    PROBE_FAILED = auto()
    PROBE_ABANDONED = auto()  # its caller was cancelled; nothing was learnt
    LATE = auto()  # the end of a call let through before the last change: no news


_C, _H, _O = BreakerState.CLOSED, BreakerState.HALF, BreakerState.OPEN
_E = BreakerEvent


class BreakerMisuseError(SidecarError):
    """A step that the table does not have, or a ticket used twice: a fault of the caller."""


class _Transitions(dict[tuple[BreakerState, BreakerEvent], BreakerState]):
    """The table of steps; one that it does not have raises."""

    def __missing__(self, step: tuple[BreakerState, BreakerEvent]) -> BreakerState:
        state, event = step
        raise BreakerMisuseError(f"{event.name} cannot happen to a breaker that is {state.name}")


TRANSITIONS: Final = _Transitions(
    {
        (_C, _E.SUCCEEDED): _C,
        (_C, _E.FAILED): _C,
        (_C, _E.TRIPPED): _O,
        (_C, _E.LATE): _C,
        (_O, _E.COOLED): _H,
        (_O, _E.LATE): _O,
        (_H, _E.PROBE_SUCCEEDED): _C,
        (_H, _E.PROBE_FAILED): _O,
        (_H, _E.PROBE_ABANDONED): _H,
        (_H, _E.LATE): _H,
    }
)
"""Every legal step; any other is a `BreakerMisuseError`."""


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
        match self._state:
            case BreakerState.CLOSED:
                return True
            case BreakerState.HALF:
                return self._probe is None
            case BreakerState.OPEN:
                return now >= self._probe_at
            case _:
                assert_never(self._state)

    def allow(self, now: float) -> Ticket | None:
        """Give leave for one call, or None: then the call fails at once as BREAKER_OPEN."""
        if self._state is BreakerState.CLOSED:
            return self._ticket
        if self._state is BreakerState.OPEN:
            if now < self._probe_at:
                return None
            self._state = TRANSITIONS[self._state, BreakerEvent.COOLED]
        elif self._probe is not None:
            return None
        self._probe = Ticket(self._era, probe=True)
        return self._probe

    def record(self, ticket: Ticket, *, ok: bool, now: float) -> None:
        """Record how the call of `ticket` ended; `ok` is whether the platform is healthy."""
        event = self._event_of(ticket, ok=ok)
        self._state = TRANSITIONS[self._state, event]
        match event:
            case BreakerEvent.SUCCEEDED:
                self._failures = 0
                self.steady = True
            case BreakerEvent.FAILED:
                self._failures += 1
                self.steady = False
            case BreakerEvent.TRIPPED:
                self._pause = self._first_pause
                self._open(now)
            case BreakerEvent.PROBE_SUCCEEDED:
                self._failures = 0
                self._begin_era()
                self.steady = True
            case BreakerEvent.PROBE_FAILED:
                self._pause = min(self._pause * 2, self._longest_pause)
                self._open(now)
            case BreakerEvent.LATE:
                return
            case BreakerEvent.COOLED | BreakerEvent.PROBE_ABANDONED:
                raise BreakerMisuseError(f"{event} is not the end of a call")
            case _:
                assert_never(event)

    def release(self, ticket: Ticket) -> None:
        """Give a ticket back unused, because its caller was cancelled: a probe's place is free."""
        self._event_of(ticket, ok=False)
        if ticket is self._probe:
            self._state = TRANSITIONS[self._state, BreakerEvent.PROBE_ABANDONED]
            self._probe = None

    def _event_of(self, ticket: Ticket, *, ok: bool) -> BreakerEvent:
        """Say what the end of a call means."""
        if ticket.era != self._era:
            return BreakerEvent.LATE
        if ticket.probe:
            if ticket is not self._probe:
                raise BreakerMisuseError("a probe was given back twice; give each back once")
            return BreakerEvent.PROBE_SUCCEEDED if ok else BreakerEvent.PROBE_FAILED
        if ok:
            return BreakerEvent.SUCCEEDED
        last = self._failures + 1 >= self._threshold
        return BreakerEvent.TRIPPED if last else BreakerEvent.FAILED

    def _open(self, now: float) -> None:
        self._begin_era()
        self.steady = False
        self._probe_at = now + self._pause * self._jitter()

    def _begin_era(self) -> None:
        self._era += 1
        self._ticket = Ticket(self._era, probe=False)
        self._probe = None


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
