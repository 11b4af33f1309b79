"""What the engine needs from the outside, as protocols: adapters satisfy them, fakes break them.

Kept beside the model so that adapters can be typed against a port without importing the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from sidecar.model import Charge, Headers, Identity, IdentityFailure, IdentitySource, Outcome


class Clock(Protocol):
    """Time, so that tests can turn it by hand."""

    def monotonic(self) -> float:
        """Seconds that never go back: for waits, budgets and caches."""

    def time(self) -> float:
        """Unix seconds: for tokens and quota periods."""


class Identities(Protocol):
    """Who is calling."""

    async def identify(
        self, headers: Headers, sources: Sequence[IdentitySource], *, wait: bool
    ) -> Identity | IdentityFailure:
        """Verify the first source that is present.

        With `wait` false nothing is fetched: what the cached keys cannot decide is a failure.
        """


class Quotas(Protocol):
    """The platform's consume call."""

    async def consume(
        self, charge: Charge, *, timeout: float, orphaned: Callable[[Outcome], None]
    ) -> Outcome:
        """Consume once, within `timeout` seconds in all, any retry under the same key.

        Never raises for what the platform does: that is a `Failed`. When the caller is cancelled
        the call to the platform goes on, and `orphaned` gets its outcome.
        """


class BodySource(Protocol):
    """The body of a call, for an amount that is read from it."""

    async def read(self, limit: int) -> bytes | None:
        """Return the whole body, kept for forwarding; None when it is longer than `limit` bytes.

        Raises ConnectionError when the caller goes away first.
        """
