"""Who is calling: the `Identities` port over the key set, with a cache of verified tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cachetools import LRUCache, TTLCache

from sidecar.domain.credentials import CookieSource, IdentityFailure, IdentitySource
from sidecar.domain.model import Headers, Identity
from sidecar.domain.ports import Clock
from sidecar.identity.credentials import find_credential
from sidecar.identity.jws import LONGEST_TOKEN
from sidecar.identity.keyset import KeySet
from sidecar.identity.tokens import PlatformTrust, SessionTrust, Verified, judge, read_token

VERIFIED_BYTES: Final = 32 * 1024 * 1024
"""Memory for verified tokens: about ten thousand usual ones. The least recently used goes first."""

REJECTED_TOKENS: Final = 4096
"""How many bad tokens are cached, by digest."""

REJECTED_SECONDS: Final = 60.0
"""How long a bad token is cached. It stays bad, so this bounds memory and not trust."""

_ENTRY_BYTES: Final = 512  # an Identity, and what the caches keep beside it
_BYTES_PER_BYTE: Final = 3  # a claim is kept in the token and, decoded, as objects

_TokenKey = tuple[bytes | None, bytes]
"""A session's secret, None for the platform's tokens; and a token, or a bad token's digest."""


@dataclass(slots=True)
class _Held:
    """A verified token in memory; `size` is an estimate in bytes.

    It is valid while its key is in force: it was in the key set of this `generation`.
    """

    verified: Verified
    generation: int
    size: int


class Verifier:
    """Identities by verified tokens; satisfies `sidecar.domain.ports.Identities`.

    An entry of the cache is kept under the secret too, so that no source answers for another. Time
    and the keys in force are checked at every call: an entry alone makes no token valid.
    """

    def __init__(self, keys: KeySet, issuer: str, clock: Clock) -> None:
        """Verify the platform's tokens with `keys`, and only those of `issuer`."""
        self._keys = keys
        self._issuer = issuer
        self._clock = clock
        self._verified: LRUCache[_TokenKey, _Held] = LRUCache(VERIFIED_BYTES, getsizeof=_size)
        self._rejected: TTLCache[_TokenKey, IdentityFailure] = TTLCache(
            REJECTED_TOKENS, ttl=REJECTED_SECONDS, timer=clock.monotonic
        )
        self._rejected_by = keys.generation

    async def identify(
        self, headers: Headers, sources: Sequence[IdentitySource], *, wait: bool
    ) -> Identity | IdentityFailure:
        """Verify the token of the first source that is present.

        With `wait`, an unknown key may cost one fetch of the key set, shared by all that wait, and
        `Pace.timeout` at most; without, nothing is fetched.
        """
        credential = find_credential(headers, sources)
        if isinstance(credential, IdentityFailure):
            return credential
        source, token = credential
        if len(token) > LONGEST_TOKEN:
            return IdentityFailure.TOO_LARGE
        entry = (source.secret if isinstance(source, CookieSource) else None, token)
        try:
            held = self._verified[entry]
        except KeyError:
            held = None
        if held is None or (
            held.generation != self._keys.generation and not self._still_trusted(entry, held)
        ):
            return await self._examine_waiting(entry, wait=wait)
        verified, now = held.verified, self._clock.time()
        if verified.begins <= now < verified.ends:
            return verified.identity
        outcome = judge(verified, now)
        if outcome is IdentityFailure.EXPIRED:
            self._verified.pop(entry, None)
            self._reject(entry, outcome)
        return outcome

    def _still_trusted(self, entry: _TokenKey, held: _Held) -> bool:
        """Say whether the key is also in a newer key set; forget the token where it is not."""
        key = held.verified.key
        if key is not None and not self._keys.in_force(key):
            self._verified.pop(entry, None)
            return False
        held.generation = self._keys.generation
        return True

    async def _examine_waiting(self, entry: _TokenKey, *, wait: bool) -> Identity | IdentityFailure:
        outcome = self._examine(entry)
        if outcome is IdentityFailure.UNKNOWN_KEY and wait:
            await self._keys.renew()
            outcome = self._examine(entry)
        if outcome is IdentityFailure.UNKNOWN_KEY and not self._keys.keys:
            return IdentityFailure.KEYS_UNAVAILABLE
        return outcome

    def _examine(self, entry: _TokenKey) -> Identity | IdentityFailure:
        """Verify a token that is not in the cache, and cache the result.

        An unknown key is not cached: the next key set may have it, and finding that it is unknown
        costs no signature check.
        """
        known = self._rejection_of(entry)
        if known is not None:
            return known
        secret, token = entry
        verified = read_token(
            token,
            PlatformTrust(self._keys.keys, self._issuer)
            if secret is None
            else SessionTrust(secret),
        )
        if isinstance(verified, IdentityFailure):
            if verified is not IdentityFailure.UNKNOWN_KEY:
                self._reject(entry, verified)
            return verified
        outcome = judge(verified, self._clock.time())
        if outcome is IdentityFailure.EXPIRED:
            self._reject(entry, outcome)
        else:
            # One that is not valid yet is kept as well: its signature has been checked.
            self._hold(entry, verified)
        return outcome

    def _hold(self, entry: _TokenKey, verified: Verified) -> None:
        """Keep a verified token; the one unused longest makes room for it."""
        size = _ENTRY_BYTES + _BYTES_PER_BYTE * len(entry[1])
        self._verified[entry] = _Held(verified, self._keys.generation, size)

    def _reject(self, entry: _TokenKey, failure: IdentityFailure) -> None:
        """Keep a bad token's failure, under the token's digest."""
        secret, token = entry
        self._rejections()[secret, hashlib.sha256(token).digest()] = failure

    def _rejection_of(self, entry: _TokenKey) -> IdentityFailure | None:
        """Say why a token was found bad a moment ago; None where it was not."""
        secret, token = entry
        return self._rejections().get((secret, hashlib.sha256(token).digest()))

    def _rejections(self) -> TTLCache[_TokenKey, IdentityFailure]:
        """Return the bad tokens under the keys in force: other keys may find them good."""
        if self._rejected_by != self._keys.generation:
            self._rejected.clear()
            self._rejected_by = self._keys.generation
        return self._rejected


def _size(held: _Held) -> int:
    return held.size
