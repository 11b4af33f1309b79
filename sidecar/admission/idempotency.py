"""The keys sent to the platform: pure functions of what a charge is for (architecture, Keys)."""

from __future__ import annotations

from enum import Enum
from hashlib import blake2b
from typing import Final

NONCE_BYTES: Final = 16
"""How long a process's nonce is: no two processes have the same one, and no caller guesses it."""

_KEY_BYTES: Final = 32  # 64 hex digits
_CALL: Final = b"bb call"
_NEW: Final = b"bb new"


def scope_of(
    *,
    product: str,
    org_id: str,
    user_id: str,
    route: str,
    method: str,
    path: str,
    resource: str,
    request_id: str,
) -> bytes:
    """Digest what makes two calls "the same request again"; the name of a claim.

    Neither the query nor the amount is in it: `replay: reject` goes by the ID alone. Each field is
    preceded by its length, so that no two lists of fields read alike.
    """
    fields = (
        f"{len(product)}:{product}{len(org_id)}:{org_id}{len(user_id)}:{user_id}"
        f"{len(route)}:{route}{len(method)}:{method}{len(path)}:{path}"
        f"{len(resource)}:{resource}{len(request_id)}:{request_id}"
    )
    # Tokens and targets may hold lone surrogates; they must hash, and differ, like anything else.
    return blake2b(fields.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES).digest()


def key_of(scope: bytes, attempt: int, nonce: bytes, *, query: str, amount: int) -> str:
    """Return the platform's `idempotency_key` for one attempt: 64 hex digits.

    The query and the amount make another price another charge, also where two processes give the
    same attempt number to one ID. `nonce` is this process's for any request ID but a trusted
    proxy's, which takes b"" so that every replica derives the same key from it.
    """
    charge = attempt.to_bytes(8, "big") + amount.to_bytes(8, "big")
    return blake2b(
        scope + charge + query.encode("utf-8", "surrogatepass"),
        digest_size=_KEY_BYTES,
        key=nonce,
        person=_CALL,
    ).hexdigest()


def new_key_of(request_id: str, nonce: bytes) -> str:
    """Return the key of a call whose request ID this process has made.

    Such an ID comes only once, so that nothing else is needed to tell two executions apart.
    """
    return blake2b(
        request_id.encode("ascii"), digest_size=_KEY_BYTES, key=nonce, person=_NEW
    ).hexdigest()


class DerivedKey(Enum):
    """What a key is for that follows from a call's, or a connection's, and a number."""

    LEASE = b"bb lease"  # the process's n-th consume of units ahead of their calls: of no call
    NAME = b"bb name"  # of the process's n-th call whose key is not its own
    OWED = b"bb owed"  # units beyond the deposit: a smaller amount, after a refusal, is another
    KILLED = b"bb killed"  # units owed if this process ends before the call's answer does
    TURN = b"bb turn"  # the deposit of a realtime connection's n-th response
    UNPAID = b"bb unpaid"  # such a response whose deposit was refused, and that ran
    TRANSCRIPT = b"bb transcript"  # a connection's n-th transcript of the client's speech


def derived_key_of(use: DerivedKey, key: str, number: int, nonce: bytes) -> str:
    """Return the key for this use of a call whose own key, or name, is `key`."""
    data = number.to_bytes(8, "big") + key.encode()
    return blake2b(data, digest_size=_KEY_BYTES, key=nonce, person=use.value).hexdigest()
