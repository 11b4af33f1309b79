"""Tokens and keys as the platform and a product would make them, and as nobody should."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from sidecar.domain.credentials import IdentityFailure
from sidecar.domain.model import Identity
from sidecar.identity.keys import TrustedKey, read_key_set
from sidecar.identity.tokens import PlatformTrust, Trust, judge, read_token

NOW: Final = 1_760_000_000.0
"""The time at which a `TurnedClock` starts."""

ISSUER: Final = "https://auth.bizbasics.ai"
SECRET: Final = b"a-session-secret-of-32-bytes-or-more"
CLAIMS: Final[dict[str, Any]] = {
    "iss": ISSUER,
    "exp": int(NOW) + 1200,
    "org_id": "org_acme",
    "user_id": "user_1",
    "email": "ann@acme.example",
    "role": "org_owner",
    "plan": "pro",
    "apps": ["acme-notes"],
}


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with the name under which its public half is published."""

    kid: str
    private: rsa.RSAPrivateKey

    def jwk(self, **changes: object) -> dict[str, object]:
        """Return the entry of the key set, with members changed, or left out where None."""
        numbers = self.private.public_key().public_numbers()
        entry = {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.kid,
            "n": number(numbers.n),
            "e": number(numbers.e),
        } | changes
        return {name: value for name, value in entry.items() if value is not None}

    def sign(self, data: bytes) -> bytes:
        """Sign as RS256 does."""
        return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256())


@lru_cache
def signing_key(kid: str) -> SigningKey:
    """Make the key of this name, once a run."""
    return SigningKey(kid, rsa.generate_private_key(65537, 2048))


def key_set(*entries: dict[str, object]) -> bytes:
    """Return the document that publishes these entries."""
    return json.dumps({"keys": list(entries)}).encode()


def trust(*keys: SigningKey) -> PlatformTrust:
    """Trust these keys and the usual issuer."""
    return PlatformTrust(trusted(*keys), ISSUER)


def trusted(*keys: SigningKey) -> dict[str, TrustedKey]:
    """Return the keys as they are after a fetch."""
    read = read_key_set(key_set(*(key.jwk() for key in keys)), {})
    assert read is not None
    return read.keys


def coded(data: bytes) -> bytes:
    """Encode base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def number(value: int) -> str:
    """Encode a Base64urlUInt."""
    return coded(value.to_bytes((value.bit_length() + 7) // 8, "big")).decode()


def compact(
    header: Mapping[str, object] | bytes,
    payload: Mapping[str, object] | bytes,
    sign: Callable[[bytes], bytes],
) -> bytes:
    """Make a compact JWS of a header and a payload that need not make sense."""
    signing_input = coded(_json(header)) + b"." + coded(_json(payload))
    return signing_input + b"." + coded(sign(signing_input))


def mint(key: SigningKey, *, header: Mapping[str, object] | None = None, **claims: object) -> bytes:
    """Make a token of the platform's with some claims changed, or left out where None."""
    return compact(
        {"alg": "RS256", "typ": "JWT", "kid": key.kid} | dict(header or {}),
        changed(claims),
        key.sign,
    )


def mint_session(secret: bytes = SECRET, **claims: object) -> bytes:
    """Make a product's own session, which names no issuer."""
    return compact(
        {"alg": "HS256", "typ": "JWT"}, changed({"iss": None} | claims), signer_hs256(secret)
    )


def changed(claims: Mapping[str, object]) -> dict[str, object]:
    """Return the usual claims with these instead; None leaves a claim out."""
    return {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}


def signer_hs256(secret: bytes) -> Callable[[bytes], bytes]:
    """Return what signs as HS256 does, without a library's scruples about the secret."""
    return lambda data: hmac.new(secret, data, hashlib.sha256).digest()


def _json(value: Mapping[str, object] | bytes) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def verify(token: bytes, trust: Trust, now: float) -> Identity | IdentityFailure:
    """Verify a token at `now`: its form, signature and claims, then its times."""
    verified = read_token(token, trust)
    return verified if isinstance(verified, IdentityFailure) else judge(verified, now)
