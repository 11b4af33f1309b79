"""A token, verified against keys to trust. Pure: the caller brings keys and time.

The algorithm is the one of the token's source, and never what its header says. Signatures are
checked by `cryptography`.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, assert_never

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from sidecar.domain.credentials import IdentityFailure
from sidecar.domain.model import Identity
from sidecar.identity.claims import read_claims
from sidecar.identity.jws import Jws, read_jws, read_object
from sidecar.identity.keys import TrustedKey
from sidecar.identity.session_secret import is_usable

LEEWAY: Final = 60.0
"""Seconds by which clocks may differ, at both ends of a token's life (conformance 29)."""

_PADDING: Final = PKCS1v15()  # RS256 is RSASSA-PKCS1-v1_5 with SHA-256, RFC 7518 section 3.3
_SHA256: Final = SHA256()

_PLAIN_KID: Final = re.compile(r"[A-Za-z0-9._~:@=+-]+")
"""A kid that may be one of a newer key set. Any other is worth no fetch (conformance 27)."""


@dataclass(frozen=True, slots=True)
class PlatformTrust:
    """RS256 by a key of the platform's, in a token that names this issuer."""

    algorithm: ClassVar[str] = "RS256"
    keys: Mapping[str, TrustedKey]
    issuer: str


@dataclass(frozen=True, slots=True, repr=False)
class SessionTrust:
    """HS256 by the product's own secret. Its sessions name no issuer, so none is asked for."""

    algorithm: ClassVar[str] = "HS256"
    issuer: ClassVar[None] = None
    secret: bytes


Trust = PlatformTrust | SessionTrust


@dataclass(frozen=True, slots=True)
class Verified:
    """A token with a valid signature and claims: valid from `begins` until just before `ends`."""

    identity: Identity
    key: TrustedKey | None
    begins: float
    ends: float


def read_token(token: bytes, trust: Trust) -> Verified | IdentityFailure:
    """Verify all of a token but its times, so that a signature need be checked only once."""
    jws = read_jws(token, trust.algorithm)
    if isinstance(jws, IdentityFailure):
        return jws
    key: TrustedKey | None = None
    match trust:
        case PlatformTrust():
            found = _key_for(jws, trust.keys)
            if isinstance(found, IdentityFailure):
                return found
            key = found
            genuine = _is_signed(jws, key)
        case SessionTrust():
            expected = hmac.digest(trust.secret, jws.signing_input, "sha256")
            genuine = is_usable(trust.secret) and hmac.compare_digest(expected, jws.signature)
        case _:
            assert_never(trust)
    if not genuine:
        return IdentityFailure.BAD_SIGNATURE
    members = read_object(jws.payload)
    if members is None:
        return IdentityFailure.MALFORMED
    identity = read_claims(members, trust.issuer)
    if isinstance(identity, IdentityFailure):
        return identity
    begins = float("-inf") if identity.not_before is None else identity.not_before - LEEWAY
    return Verified(identity, key, begins, identity.expires_at + LEEWAY)


def judge(verified: Verified, now: float) -> Identity | IdentityFailure:
    """Say whether a verified token is valid at `now`."""
    if now >= verified.ends:  # "on or after", RFC 7519 section 4.1.4
        return IdentityFailure.EXPIRED
    return IdentityFailure.NOT_YET_VALID if now < verified.begins else verified.identity


def _key_for(jws: Jws, keys: Mapping[str, TrustedKey]) -> TrustedKey | IdentityFailure:
    if jws.kid is None:
        return IdentityFailure.MALFORMED
    key = keys.get(jws.kid)
    if key is not None:
        return key
    if _PLAIN_KID.fullmatch(jws.kid) is None:
        return IdentityFailure.MALFORMED
    return IdentityFailure.UNKNOWN_KEY


def _is_signed(jws: Jws, key: TrustedKey) -> bool:
    try:
        key.public.verify(jws.signature, jws.signing_input, _PADDING, _SHA256)
    except InvalidSignature:
        return False
    return True
