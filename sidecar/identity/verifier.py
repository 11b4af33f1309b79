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


@dataclass(frozen=True, slots=True)
class _Held:
    """A verified token in memory; `size` is an estimate in bytes."""

    verified: Verified
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
        self._verified: LRUCache[tuple[bytes | None, bytes], _Held] = LRUCache(
            VERIFIED_BYTES, getsizeof=_size
        )
        self._rejected: TTLCache[tuple[bytes | None, bytes], IdentityFailure] = TTLCache(
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
        secret = source.secret if isinstance(source, CookieSource) else None
        try:
            held = self._verified[secret, token]
        except KeyError:
            held = None
        if held is None:
            return await self._examine_waiting(secret, token, wait=wait)
        key = held.verified.key
        if key is not None and not self._keys.in_force(key):
            del self._verified[secret, token]
            return await self._examine_waiting(secret, token, wait=wait)
        outcome = judge(held.verified, self._clock.time())
        if outcome is IdentityFailure.EXPIRED:
            del self._verified[secret, token]
            self._rejections()[secret, _digest(token)] = outcome
        return outcome

    async def _examine_waiting(
        self, secret: bytes | None, token: bytes, *, wait: bool
    ) -> Identity | IdentityFailure:
        outcome = self._examine(secret, token)
        if outcome is IdentityFailure.UNKNOWN_KEY and wait:
            await self._keys.renew()
            outcome = self._examine(secret, token)
        if outcome is IdentityFailure.UNKNOWN_KEY and not self._keys.keys:
            return IdentityFailure.KEYS_UNAVAILABLE
        return outcome

    def _examine(self, secret: bytes | None, token: bytes) -> Identity | IdentityFailure:
        """Verify a token that is not in the cache, and cache the result.

        An unknown key is not cached: the next key set may have it, and finding that it is unknown
        costs no signature check.
        """
        rejections = self._rejections()
        entry = (secret, _digest(token))
        known = rejections.get(entry)
        if known is not None:
            return known
        verified = read_token(
            token,
            PlatformTrust(self._keys.keys, self._issuer)
            if secret is None
            else SessionTrust(secret),
        )
        if isinstance(verified, IdentityFailure):
            if verified is not IdentityFailure.UNKNOWN_KEY:
                rejections[entry] = verified
            return verified
        outcome = judge(verified, self._clock.time())
        if outcome is IdentityFailure.EXPIRED:
            rejections[entry] = outcome
        else:
            # One that is not valid yet is kept as well: its signature has been checked.
            size = _ENTRY_BYTES + _BYTES_PER_BYTE * len(token)
            self._verified[secret, token] = _Held(verified, size)
        return outcome

    def _rejections(self) -> TTLCache[tuple[bytes | None, bytes], IdentityFailure]:
        """Return the bad tokens under the keys in force: other keys may find them good."""
        if self._rejected_by != self._keys.generation:
            self._rejected.clear()
            self._rejected_by = self._keys.generation
        return self._rejected


def _size(held: _Held) -> int:
    return held.size


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
