"""The platform's key set: fetched, kept, renewed. The one part of identity that does I/O.

All changes of state are synchronous; the only awaits are the fetch itself and the pauses between
fetches. A fetch belongs to the key set and not to its waiters: a cancelled waiter cancels nothing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from sidecar import __version__
from sidecar.domain.ports import Clock, IdentityObserver
from sidecar.http1.errors import ConnectFailedError, PeerFailure
from sidecar.http1.fetch import FetchFailedError, fetch
from sidecar.http1.pool import Pool, PoolLimits
from sidecar.identity.keys import TrustedKey, read_key_set

KEY_SET_PATH: Final = "/.well-known/jwks.json"

_CONNECTIONS: Final = 2  # one for a fetch, one that the fetch before it is still closing
FETCH_LIMITS: Final = PoolLimits(connections=_CONNECTIONS)
"""For the pool that a key set is given."""

_LARGEST_BODY: Final = 256 * 1024
_SPREAD: Final = 0.1  # the part of a pause that is random
_FIELDS: Final = (("accept", "application/json"), ("user-agent", f"bb-sidecar/{__version__}"))


class FetchOutcome(StrEnum):
    """How a fetch ended: the `outcome` label of `jwks_refresh_total`."""

    OK = "ok"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    BAD_STATUS = "bad_status"
    REDIRECTED = "redirected"
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    NO_KEYS = "no_keys"


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the auth host is asked; seconds."""

    timeout: float = 2.0
    refresh: float = 600.0
    cooldown: float = 30.0
    first_retry: float = 0.5
    longest_retry: float = 30.0


@dataclass(frozen=True, slots=True)
class KeySetState:
    """For readiness: keys in force, seconds since they were last confirmed, the last error."""

    keys: int
    age: float | None
    last_error: str | None


class KeySet:
    """The keys in force; the last good ones stay whatever the auth host does later.

    `generation` is a number that grows whenever the keys in force change.
    """

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        observer: IdentityObserver,
        *,
        pace: Pace | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Fetch from the auth host of `pool`; `chance` yields numbers from 0 to 1."""
        origin = pool.origin
        self.url: Final = f"http{'s' if origin.tls else ''}://{origin.authority}{KEY_SET_PATH}"
        self._pool = pool
        self._clock = clock
        self._observer = observer
        self._pace = pace or Pace()
        self._chance = chance
        self._keys: dict[str, TrustedKey] = {}
        self.generation = 0
        self._confirmed_at: float | None = None
        self._last_error: str | None = None
        self._failures = 0
        self._asked_until = float("-inf")
        self._flight: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def keys(self) -> Mapping[str, TrustedKey]:
        """The keys in force by kid; empty until the first fetch succeeded."""
        return MappingProxyType(self._keys)

    def in_force(self, key: TrustedKey) -> bool:
        """Say whether a key that verified something before has not been withdrawn since."""
        return self._keys.get(key.kid) is key

    def state(self) -> KeySetState:
        """Return what readiness reports."""
        confirmed = self._confirmed_at
        age = None if confirmed is None else self._clock.monotonic() - confirmed
        return KeySetState(len(self._keys), age, self._last_error)

    def start(self) -> None:
        """Begin to fetch in the background, soon after a failure, else every `refresh` seconds.

        Does not wait: the sidecar starts without the auth host (conformance 43).
        """
        if self._keeper is None and not self._closed:
            self._keeper = asyncio.create_task(self._keep_fresh(), name="key set")

    async def close(self) -> None:
        """End the background work and the connections; the keys stay readable."""
        self._closed = True
        tasks = [task for task in (self._keeper, self._flight) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._keeper = self._flight = None
        await self._pool.close()

    async def renew(self) -> None:
        """Wait for a fetch because a kid is unknown: the one under way, else one of its own.

        At most one fetch per cooldown is made for this reason; within the cooldown this returns at
        once. Scheduled fetches do not count, or a key that was rotated just after one would be
        unknown for the rest of a cooldown.
        """
        if self._flight is None:
            now = self._clock.monotonic()
            if self._closed or now < self._asked_until:
                return
            self._asked_until = now + self._pace.cooldown
        await self._share_flight()

    async def _keep_fresh(self) -> None:
        while True:
            await self._share_flight()
            await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        """Return seconds to the next scheduled fetch: longer after failures, and never in step."""
        pace = self._pace
        pause = pace.refresh
        if self._failures:
            pause = min(pace.longest_retry, pace.first_retry * 2.0 ** min(self._failures - 1, 16))
        return pause * (1 - _SPREAD * self._chance())

    async def _share_flight(self) -> None:
        """Join the fetch under way or begin one. Being cancelled here leaves the fetch alone."""
        flight = self._flight
        if flight is None:
            flight = self._flight = asyncio.create_task(self._fly(), name="key set fetch")
        await asyncio.wait({flight})

    async def _fly(self) -> None:
        self._failures += 1  # taken back on success, so that an exception counts as a failure
        try:
            outcome, detail = await self._fetch()
        finally:
            self._flight = None
        if outcome is FetchOutcome.OK:
            self._failures = 0
            self._last_error = None
            self._confirmed_at = self._clock.monotonic()
        else:
            self._last_error = f"{outcome}: {self.url} {detail}"
        self._observer.keys_refreshed(outcome, len(self._keys), detail)

    async def _fetch(self) -> tuple[FetchOutcome, str]:
        """Fetch once and put good keys in force; return the outcome, and its detail for the log."""
        try:
            async with asyncio.timeout(self._pace.timeout):
                answer = await fetch(self._pool, KEY_SET_PATH, fields=_FIELDS, limit=_LARGEST_BODY)
        except TimeoutError:
            return self._timed_out()
        except (ConnectFailedError, FetchFailedError) as error:
            if error.kind is PeerFailure.CONNECT_TIMEOUT:
                return self._timed_out()
            return FetchOutcome.UNREACHABLE, f"could not be read: {error}"
        if 300 <= answer.status < 400:  # noqa: PLR2004 -- the class of redirects
            return FetchOutcome.REDIRECTED, f"answered {answer.status}; not followed"
        if answer.status != 200:  # noqa: PLR2004 -- the one good status
            return FetchOutcome.BAD_STATUS, f"answered {answer.status}"
        if answer.body is None:
            return FetchOutcome.TOO_LARGE, f"answered with more than {_LARGEST_BODY} bytes"
        read = read_key_set(answer.body, self._keys)
        if read is None:
            return FetchOutcome.MALFORMED, "answered with something that is no key set"
        if not read.keys:
            why = read.ignored_text() or "it is empty"
            return FetchOutcome.NO_KEYS, f"answered with no RSA signing key for RS256: {why}"
        if read.keys != self._keys:
            self._keys = read.keys
            self.generation += 1
        return FetchOutcome.OK, read.ignored_text()

    def _timed_out(self) -> tuple[FetchOutcome, str]:
        return FetchOutcome.TIMEOUT, f"gave no whole answer in {self._pace.timeout:g} s"
