"""Secrets: how they are made, and the only form in which they are kept."""

from __future__ import annotations

import hashlib
import secrets


def digest(secret: str) -> bytes:
    """Return what is stored and looked up in place of a key.

    The keys are long and random, so a plain digest cannot be searched backwards; and comparing
    digests in the database reveals nothing of the key by its time.
    """
    # A header's bytes that are no UTF-8 arrive as surrogates; they make a digest like any other.
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def new_key(kind: str) -> str:
    """Return a fresh key: `bbas` for a product's secret, `bbk` for an org's key."""
    return f"{kind}_{secrets.token_urlsafe(24)}"
