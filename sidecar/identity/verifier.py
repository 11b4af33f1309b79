"""Who is calling: the `Identities` port over the key set, with a cache of verified tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cachetools import LRUCache

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
"""How many bad tokens are cached, apart from the good ones, which they must not displace."""

_ENTRY_BYTES: Final = 512  # an Identity, and what the caches keep beside it
_BYTES_PER_BYTE: Final = 3  # a claim is kept in the token and, decoded, as objects

_TokenKey = tuple[bytes | None, bytes]
"""A session's secret, None for the platform's tokens; and a token."""

_RejectedKey = tuple[bytes | None, bytes, int]
"""The same with the token's digest, and the generation of the keys: others may find it good."""


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
        self._rejected: LRUCache[_RejectedKey, IdentityFailure] = LRUCache(REJECTED_TOKENS)

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
        return judge(verified, now)

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
        """Verify a token that is not among the verified ones, and cache the result.

        One whose times are wrong is kept as well: its signature has been checked. An unknown key is
        not cached: the next key set may have it, and finding that costs no signature check.
        """
        secret, token = entry
        bad = secret, hashlib.sha256(token).digest(), self._keys.generation
        known = self._rejected.get(bad)
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
                self._rejected[bad] = verified
            return verified
        size = _ENTRY_BYTES + _BYTES_PER_BYTE * len(token)
        self._verified[entry] = _Held(verified, self._keys.generation, size)
        return judge(verified, self._clock.time())


def _size(held: _Held) -> int:
    return held.size
