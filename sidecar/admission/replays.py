"""The replay book: which request IDs were seen, how often charged, and how that ended.

A claim is taken synchronously before the consume and given back or made good after the attempt,
so that two calls with one ID never share an attempt number, whatever the order of their awaits.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import auto
from typing import Final, NamedTuple

from sidecar.admission.steps import Listed, step
from sidecar.domain.choices import OnReplay

CAPACITY: Final = 50_000
"""Scopes at rest that are remembered: about 15 MB. Scopes in flight are bounded by the proxy."""

RETENTION_SECONDS: Final = 48 * 3600.0
"""Twice the platform's memory of a key: a journalled key may be sent up to 24 h after its call,
and is remembered for 24 h from then; a trusted ID must not start again at 0 before that."""


class ScopeState(Listed):
    """What is known of one scope (one request ID on one route, for one caller)."""

    ABSENT = auto()
    HELD = auto()  # in flight; none has succeeded
    REPEATED = auto()  # in flight; an earlier one succeeded
    FREE = auto()  # at rest; none has succeeded: the client may try again
    DONE = auto()  # at rest; one has succeeded


class ScopeEvent(Listed):
    """What can happen to a scope; LAST when no other claim of it remains in flight."""

    CLAIM = auto()
    SUCCEED = auto()
    SUCCEED_LAST = auto()
    RELEASE = auto()
    RELEASE_LAST = auto()
    FORGET = auto()


STEPS: Final = {
    (ScopeState.ABSENT, ScopeEvent.CLAIM): ScopeState.HELD,
    (ScopeState.HELD, ScopeEvent.CLAIM): ScopeState.HELD,
    (ScopeState.HELD, ScopeEvent.SUCCEED): ScopeState.REPEATED,
    (ScopeState.HELD, ScopeEvent.SUCCEED_LAST): ScopeState.DONE,
    (ScopeState.HELD, ScopeEvent.RELEASE): ScopeState.HELD,
    (ScopeState.HELD, ScopeEvent.RELEASE_LAST): ScopeState.FREE,
    (ScopeState.REPEATED, ScopeEvent.CLAIM): ScopeState.REPEATED,
    (ScopeState.REPEATED, ScopeEvent.SUCCEED): ScopeState.REPEATED,
    (ScopeState.REPEATED, ScopeEvent.SUCCEED_LAST): ScopeState.DONE,
    (ScopeState.REPEATED, ScopeEvent.RELEASE): ScopeState.REPEATED,
    (ScopeState.REPEATED, ScopeEvent.RELEASE_LAST): ScopeState.DONE,
    (ScopeState.FREE, ScopeEvent.CLAIM): ScopeState.HELD,
    (ScopeState.FREE, ScopeEvent.FORGET): ScopeState.ABSENT,
    (ScopeState.DONE, ScopeEvent.CLAIM): ScopeState.REPEATED,
    (ScopeState.DONE, ScopeEvent.FORGET): ScopeState.ABSENT,
}

_MAX_SKIPPED: Final = 256
"""Shared numbers that may still arrive late for one scope: calls with one ID at one time."""

_UNSEEN: Final = frozenset({ScopeState.ABSENT, ScopeState.FREE})


class Claim(NamedTuple):
    """An attempt number, or None where the policy rejects the repeat. `seen`: it is a repeat."""

    attempt: int | None
    seen: bool


class _Scope:
    """One scope's state, the claims of it in flight, and the attempt number to give out next."""

    __slots__ = (
        "any_trusted", "in_flight", "next_attempt", "rested_at", "skipped", "state", "trusted",
    )  # fmt: skip

    def __init__(self, next_attempt: int, *, trusted: bool) -> None:
        self.state = ScopeState.ABSENT
        self.in_flight = 0
        self.next_attempt = next_attempt
        self.rested_at = 0.0
        self.trusted = self.any_trusted = trusted  # all of its claims, and any of them
        self.skipped: set[int] | None = None  # shared numbers below `next_attempt`, not given here

    def take(self, shared: int | None) -> int:
        """Give out a number that this process has not given: the shared one where it can be.

        Shared numbers arrive in any order: a lower one that was skipped is still this call's own,
        and any other in its place would be some replica's.
        """
        if shared is not None and self.skipped is not None and shared in self.skipped:
            self.skipped.remove(shared)
            return shared
        attempt = self.next_attempt if shared is None else max(self.next_attempt, shared)
        if attempt > self.next_attempt:
            lowest = max(self.next_attempt, attempt - _MAX_SKIPPED)
            skipped = (self.skipped or set()) | set(range(lowest, attempt))
            self.skipped = set(sorted(skipped)[-_MAX_SKIPPED:])
        self.next_attempt = attempt + 1
        return attempt


class ReplayBook:
    """Claims by scope. Changes only synchronously; times are monotonic seconds."""

    def __init__(self, capacity: int = CAPACITY, retention: float = RETENTION_SECONDS) -> None:
        """Remember at most `capacity` scopes at rest, each for `retention` seconds."""
        self._capacity = capacity
        self._retention = retention
        self._flying: dict[bytes, _Scope] = {}
        self._resting: OrderedDict[bytes, _Scope] = OrderedDict()
        # Above every attempt number ever forgotten: what a client's ID that is not remembered
        # starts from, so that pushing an ID out of the book never brings an old key back.
        self._floor = 0

    def __len__(self) -> int:
        return len(self._flying) + len(self._resting)

    @property
    def in_flight(self) -> int:
        """Count the claims of attempts that have not ended."""
        return sum(entry.in_flight for entry in self._flying.values())

    def claim(
        self,
        scope: bytes,
        *,
        trusted: bool,
        replay: OnReplay,
        now: float,
        shared: int | None = None,
    ) -> Claim:
        """Take the scope's next attempt, unless it is a repeat and `replay` rejects those.

        `shared` is the number counted over all replicas, where there is such a count. It is taken
        unless this process has given it already: then the count was lost, and ours goes on.
        """
        entry = self._flying.get(scope)
        if entry is None:
            entry = self._resting.get(scope)
            if entry is not None and now - entry.rested_at >= self._retention:
                self._forget(scope)
                entry = None
        if entry is None:
            entry = _Scope(0 if trusted else self._floor, trusted=trusted)
        seen = entry.state not in _UNSEEN
        if seen and replay is OnReplay.REJECT:
            return Claim(None, seen=True)
        entry.state = step(STEPS, entry.state, ScopeEvent.CLAIM)
        entry.in_flight += 1
        # One claim by an untrusted caller, and forgetting this scope must raise the floor.
        entry.trusted = entry.trusted and trusted
        entry.any_trusted = entry.any_trusted or trusted
        self._resting.pop(scope, None)
        self._flying[scope] = entry
        return Claim(entry.take(shared), seen)

    def succeed(self, scope: bytes, now: float) -> None:
        """Note that a claimed attempt was executed."""
        self._end(scope, ScopeEvent.SUCCEED, ScopeEvent.SUCCEED_LAST, now)

    def release(self, scope: bytes, now: float) -> None:
        """Note that a claimed attempt came to nothing: refused, cancelled, failed or unreached."""
        self._end(scope, ScopeEvent.RELEASE, ScopeEvent.RELEASE_LAST, now)

    def _end(self, scope: bytes, event: ScopeEvent, last: ScopeEvent, now: float) -> None:
        entry = self._flying.get(scope)
        if entry is None:
            resting = self._resting.get(scope)
            step(STEPS, ScopeState.ABSENT if resting is None else resting.state, event)  # raises
            return
        entry.state = step(STEPS, entry.state, event if entry.in_flight > 1 else last)
        entry.in_flight -= 1
        if not entry.in_flight:
            del self._flying[scope]
            entry.rested_at = now
            self._resting[scope] = entry
            if entry.state is ScopeState.FREE and not entry.any_trusted:
                # Refused calls cost a client nothing: they must not push out what has succeeded.
                self._forget(scope)
            self._shrink(now)

    def _shrink(self, now: float) -> None:
        while self._resting:
            scope, entry = next(iter(self._resting.items()))
            aged = now - entry.rested_at >= self._retention
            if not aged and len(self._resting) <= self._capacity:
                return
            self._forget(scope)

    def _forget(self, scope: bytes) -> None:
        entry = self._resting.pop(scope)
        entry.state = step(STEPS, entry.state, ScopeEvent.FORGET)
        if not entry.trusted:
            self._floor = max(self._floor, entry.next_attempt)
