"""The claiming phase: which attempt of a given request ID a call is, and its charge's key.

An ID that this process has made needs no claim: it comes only once.
"""

from __future__ import annotations

from sidecar.admission.idempotency import key_of, scope_of
from sidecar.admission.replays import ReplayBook
from sidecar.domain.model import AttemptEnd, Call, Identity, RequestIdOrigin
from sidecar.domain.ports import AdmissionObserver, Attempts, Clock
from sidecar.policy.compiled import Meter


class AttemptClaims:
    """Claims the request IDs that clients and trusted proxies have given."""

    def __init__(
        self,
        *,
        replays: ReplayBook,
        attempts: Attempts | None,
        clock: Clock,
        observer: AdmissionObserver,
        nonce: bytes,
    ) -> None:
        """Claim in `replays`; `nonce` is this process's.

        `attempts` counts trusted IDs over all replicas; without it each counts for itself.
        """
        self._replays = replays
        self._attempts = attempts
        self._clock = clock
        self._observer = observer
        self._nonce = nonce

    async def take(  # noqa: PLR0917 - what makes two calls the same
        self, call: Call, route: str, meter: Meter, identity: Identity, product: str, amount: int
    ) -> tuple[str, bool, bytes] | None:
        """Claim a call's request ID; None where it is spent.

        Return the key of the charge, whether it is this process's own, and the name of the claim.
        """
        scope = scope_of(
            product=product,
            org_id=identity.org_id,
            user_id=identity.user_id,
            route=route,
            method=call.method,
            path=call.path,
            resource=meter.resource,
            request_id=call.request_id,
        )
        trusted = call.request_id_origin is RequestIdOrigin.TRUSTED
        shared = None
        if trusted and self._attempts is not None:
            shared = await self._attempts.next(scope)
        now = self._clock.monotonic()
        claim = self._replays.claim(
            scope, trusted=trusted, replay=meter.replay, now=now, shared=shared
        )
        if claim.seen:
            self._observer.replay_seen(meter.replay)
        attempt = claim.attempt
        if attempt is None:
            return None
        # Every replica derives the same key from a trusted ID. Without a number from Redis another
        # one may have given the same.
        nonce = b"" if trusted else self._nonce
        key = key_of(scope, attempt, nonce, query=call.query, amount=amount)
        return key, not trusted or attempt == shared, scope

    def end(self, claim: bytes, end: AttemptEnd) -> None:
        """Note how the attempt ended: only one that was executed uses its ID up."""
        if end is AttemptEnd.DONE:
            self._replays.succeed(claim, self._clock.monotonic())
        else:
            self.release(claim)

    def release(self, claim: bytes) -> None:
        """Give back the claim of a call that is not to be executed."""
        self._replays.release(claim, self._clock.monotonic())
