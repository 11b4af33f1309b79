"""Whether a product's session secret may be used for HS256. Pure.

A public key is no secret: anyone who can read it could sign sessions with it (RFC 8725, 2.1).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_SHORTEST_SECRET: Final = 32  # bytes; RFC 7518 section 3.2
_PEM: Final = re.compile(rb"----[- ]BEGIN [A-Z0-9 ]{1,40}[- ]----")
_SSH: Final = (b"ssh-rsa", b"ssh-dss", b"ssh-ed25519", b"ecdsa-sha2-", b"sk-ssh-", b"sk-ecdsa-")
_JWK_MEMBER: Final = b'"kty"'


def secret_problem(secret: bytes) -> str | None:
    """Say what is wrong with a session secret, for a warning at the start; None when it is good.

    A short secret still verifies sessions, as the product chose it; one that is empty or is a
    public key verifies none.
    """
    if not is_usable(secret):
        return "the secret is empty or is an asymmetric key: no session will be accepted"
    if len(secret) < _SHORTEST_SECRET:
        return (
            f"the secret has {len(secret)} bytes, which can be guessed offline; "
            f"HS256 needs {_SHORTEST_SECRET} or more (RFC 7518 section 3.2)"
        )
    return None


@lru_cache(maxsize=16)
def is_usable(secret: bytes) -> bool:
    """Say whether a secret is neither empty nor a key or certificate in PEM, SSH or JWK.

    It comes from a variable of the environment, which cannot hold one in DER: each has a NUL byte.
    """
    return bool(secret) and not (
        _PEM.search(secret) or secret.startswith(_SSH) or _JWK_MEMBER in secret
    )
