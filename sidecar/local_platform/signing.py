"""The auth host's signing keys and the tokens they sign (contract, The access token)."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from sidecar.domain.ports import Clock
from sidecar.local_platform.choices import WITHDRAW_AFTER_SECONDS
from sidecar.local_platform.rejection import Rejection
from sidecar.local_platform.store import Store
from sidecar.local_platform.wire import PublicKey

ALGORITHM = "RS256"


def make_signing_key() -> bytes:
    """Return a fresh RSA key as PEM. Slow (about a tenth of a second): run it in a thread."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The key that signs, and the older ones still published, in the store."""

    _store: Store
    _clock: Clock

    @property
    def is_empty(self) -> bool:
        """Whether no key was ever made."""
        return self._store.number("SELECT count(*) FROM signing_keys") == 0

    def rotate(self, pem: bytes, *, withdraw: bool) -> str:
        """Sign with the key in `pem` from now on; return its `kid`.

        The older keys stay published for `WITHDRAW_AFTER_SECONDS`, longer than any token of
        theirs lives; with `withdraw` they are gone at once.
        """
        now = self._clock.time()
        kid = secrets.token_hex(8)
        gone_at = now if withdraw else now + WITHDRAW_AFTER_SECONDS
        with self._store.transaction():
            self._store.run(
                "UPDATE signing_keys SET withdrawn_at = min(coalesce(withdrawn_at, :at), :at)",
                {"at": gone_at},
            )
            self._store.run("INSERT INTO signing_keys VALUES (?, ?, ?, NULL)", (kid, pem, now))
        return kid

    def published(self) -> Sequence[PublicKey]:
        """Return the key set: newest first, without what was withdrawn."""
        return [_public(kid, _key(pem)) for kid, pem in self._trusted()]

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return a token with exactly these claims, valid or not: a test may want a bad one."""
        kid, pem = self._trusted()[0]
        # The plain signature and not `jwt.encode`, which refuses claims that are wrong on purpose.
        return jwt.PyJWS().encode(
            json.dumps(claims, separators=(",", ":")).encode(),
            _key(pem),
            algorithm=ALGORITHM,
            headers={"kid": kid},
        )

    def verify(self, token: str) -> Mapping[str, Any]:
        """Return the claims of a token of ours. Raises Rejection (401) for any other."""
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            pem = dict(self._trusted()).get(kid) if isinstance(kid, str) else None
            if kid is None or pem is None:
                raise _untrusted("no published key has its kid")
            claims: dict[str, Any] = jwt.decode(
                token,
                _key(pem).public_key(),
                algorithms=[ALGORITHM],
                # Times are compared below, with the clock that tests can turn.
                options={
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_aud": False,
                    "require": ["exp", "org_id", "user_id"],
                },
            )
        except jwt.InvalidTokenError as error:
            raise _untrusted(str(error)) from error
        expires = claims["exp"]
        if not isinstance(expires, int | float):
            raise _untrusted("exp is not a number")
        if not self._clock.time() < expires:  # said so that NaN has expired
            raise _untrusted("it has expired")
        if not isinstance(claims["org_id"], str) or not isinstance(claims["user_id"], str):
            raise _untrusted("org_id and user_id must be strings")
        return claims

    def _trusted(self) -> Sequence[tuple[str, bytes]]:
        return [
            (str(kid), bytes(pem))
            for kid, pem in self._store.rows(
                "SELECT kid, pem FROM signing_keys WHERE withdrawn_at IS NULL OR withdrawn_at > ? "
                "ORDER BY rowid DESC",
                (self._clock.time(),),
            )
        ]


@lru_cache(maxsize=64)
def _key(pem: bytes) -> rsa.RSAPrivateKey:
    """Parse a key, once: that takes a twentieth of a second."""
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError(f"a signing key is a {type(key).__name__}, not RSA")
    return key


def _public(kid: str, key: rsa.RSAPrivateKey) -> PublicKey:
    jwk = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return PublicKey(kid=kid, n=jwk["n"], e=jwk["e"])


def _untrusted(why: str) -> Rejection:
    return Rejection(HTTPStatus.UNAUTHORIZED, f"token not accepted: {why}")
