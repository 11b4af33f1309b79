"""The keys sent to the platform: pure functions of what a charge is for (architecture, Keys)."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

NONCE_BYTES: Final = 16
"""How long a process's nonce is: no two processes have the same one, and no caller guesses it."""

_KEY_BYTES: Final = 32  # 64 hex digits
_CALL: Final = b"bb call"
_NEW: Final = b"bb new"
_LEASE: Final = b"bb lease"
_OWED: Final = b"bb owed"
_KILLED: Final = b"bb killed"
_NAME: Final = b"bb name"
_TURN: Final = b"bb turn"
_UNPAID: Final = b"bb unpaid"
_TRANSCRIPT: Final = b"bb transcript"


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


def lease_key_of(serial: int, nonce: bytes) -> str:
    """Return the key of this process's `serial`-th consume of units ahead of their calls."""
    return blake2b(
        serial.to_bytes(8, "big"), digest_size=_KEY_BYTES, key=nonce, person=_LEASE
    ).hexdigest()


def call_name_of(key: str, serial: int, nonce: bytes) -> str:
    """Return a name for this process's `serial`-th call whose key is not its own."""
    return _derived(key, serial, nonce, _NAME)


def owed_key_of(call: str, amount: int, nonce: bytes) -> str:
    """Return the key of `amount` units that a call has cost beyond its deposit.

    `call` is the call's own key, or its name. A smaller amount, asked for after a refusal, is
    another charge.
    """
    return _derived(call, amount, nonce, _OWED)


def killed_key_of(call: str, amount: int, nonce: bytes) -> str:
    """Return the key of the units that a call owes if this process ends before its answer does."""
    return _derived(call, amount, nonce, _KILLED)


def turn_key_of(connection: str, turn: int, nonce: bytes) -> str:
    """Return the key of the deposit for a realtime connection's `turn`-th response."""
    return _derived(connection, turn, nonce, _TURN)


def unpaid_key_of(connection: str, turn: int, nonce: bytes) -> str:
    """Return the key that such a response has where its deposit was refused, and it ran."""
    return _derived(connection, turn, nonce, _UNPAID)


def transcript_key_of(connection: str, serial: int, nonce: bytes) -> str:
    """Return the key of a realtime connection's `serial`-th transcript of the client's speech."""
    return _derived(connection, serial, nonce, _TRANSCRIPT)


def _derived(call: str, number: int, nonce: bytes, person: bytes) -> str:
    return blake2b(
        number.to_bytes(8, "big") + call.encode(), digest_size=_KEY_BYTES, key=nonce, person=person
    ).hexdigest()
