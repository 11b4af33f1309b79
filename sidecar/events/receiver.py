"""A delivery from its bytes to its effect: proved, young, new, understood, in that order.

The contract has no timestamp field, so the window against replays is made of two parts: a body
that says when it was made is refused once it is older than `WINDOW`, and the digest of every body
taken is remembered for longer than that. A repeat gets 200, since the platform delivers at least
once and counts anything else as a failure; it has no effect.

Digests are lost with the process, so a captured delivery can come again after a restart. What it
can do then is bounded by what it proves. Any event makes the sidecar ask the platform again, which
allows nothing by itself. Only one whose signed body holds its name and its time ends the doubt
about "unlimited", and only against limits that were received before that time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, Protocol, assert_never

from cachetools import TTLCache

from sidecar.domain.deliveries import DeliveryOutcome
from sidecar.domain.model import Headers, Resource
from sidecar.domain.ports import Clock, EventObserver
from sidecar.events.meaning import (
    EventEffect,
    NotAnEventError,
    PlatformEvent,
    effect_of,
    read_event,
)
from sidecar.events.signature import is_signed, is_well_formed

MAX_BODY: Final = 64 * 1024
"""Bytes of a delivery; the platform's own are a few hundred."""

WINDOW: Final = 300.0
"""Seconds that a delivery may be old: ten times what three attempts take (contract, Webhooks)."""

_REMEMBER: Final = 2 * WINDOW
CAPACITY: Final = 10_000
"""Bodies whose digests are remembered; the oldest goes first."""

_SKEW: Final = 60.0
_SIGNATURE: Final = b"x-bizbasics-signature"
_EVENT: Final = b"x-bizbasics-event"


class Stale(Protocol):
    """What an event makes stale: the ledger."""

    def forget_denial(self, org_id: str, now: float, resource: str | None = None) -> None:
        """Ask the platform about this org again, as of `now` in Unix seconds."""

    def note_entitlement_event(self, org_id: str, made_at: float) -> None:
        """Believe "unlimited" for this org over limits received before `made_at` (Unix time)."""


class Receiver:
    """Takes deliveries for one endpoint. No I/O; changes the books synchronously."""

    max_body: Final = MAX_BODY

    def __init__(
        self,
        stale: Stale,
        clock: Clock,
        observer: EventObserver,
        *,
        secret: Callable[[], str | None],
    ) -> None:
        """`secret` returns what deliveries are signed with now; None before it is known."""
        self._stale = stale
        self._clock = clock
        self._observer = observer
        self._secret = secret
        self._seen: TTLCache[bytes, None] = TTLCache(CAPACITY, _REMEMBER, timer=clock.monotonic)

    def refuse_unread(self, fields: Headers) -> DeliveryOutcome | None:
        """Refuse by its head alone what no body can make a delivery; None: read the body."""
        if self._secret() is None:
            return DeliveryOutcome.NOT_READY
        if not is_well_formed(_only(fields, _SIGNATURE) or b""):
            return DeliveryOutcome.UNSIGNED
        return None

    def answered(self, outcome: DeliveryOutcome) -> None:
        """Count a delivery that was answered, also one that never came to `receive`."""
        self._observer.event_received(outcome.value)

    def receive(self, fields: Headers, body: bytes | None) -> DeliveryOutcome:
        """Take one delivery; `body` None is one over `max_body`."""
        if body is None:
            return DeliveryOutcome.TOO_LARGE
        secret = self._secret()
        if secret is None:
            return DeliveryOutcome.NOT_READY
        signature, name = _only(fields, _SIGNATURE), _only(fields, _EVENT)
        if not is_signed(body, signature or b"", secret):
            return DeliveryOutcome.UNSIGNED
        try:
            event = read_event((name or b"").decode("latin-1"), body)
        except NotAnEventError:
            return DeliveryOutcome.MALFORMED
        if event.at is not None and not self._is_young(event.at):
            return DeliveryOutcome.EXPIRED
        digest = hashlib.sha256(body).digest()
        if digest in self._seen:
            return DeliveryOutcome.REPEATED
        self._seen[digest] = None
        return self._apply(event)

    def _is_young(self, at: float) -> bool:
        return -_SKEW <= self._clock.time() - at <= WINDOW

    def _apply(self, event: PlatformEvent) -> DeliveryOutcome:
        org_id = event.org_id
        effect = effect_of(event)
        if org_id is None or effect is EventEffect.NOTHING:
            return DeliveryOutcome.IGNORED
        now = self._clock.time()
        match effect:
            case EventEffect.RIGHTS:
                self._stale.forget_denial(org_id, now)
                if event.named and event.at is not None:
                    # Not ahead of now: limits that are received from now on must count against it.
                    self._stale.note_entitlement_event(org_id, min(event.at, now))
            case EventEffect.DENIALS:
                self._stale.forget_denial(org_id, now)
            case EventEffect.SEATS:
                self._stale.forget_denial(org_id, now, Resource.SEATS.value)
            case _:
                assert_never(effect)
        return DeliveryOutcome.APPLIED


def _only(fields: Headers, name: bytes) -> bytes | None:
    """Return the value of a field that stands there once; two could be read in two ways."""
    values = [value for key, value in fields if key == name]
    return values[0] if len(values) == 1 else None
