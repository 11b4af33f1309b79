"""Whether a delivery is the platform's own. Pure. Source: the platform's contract, Webhooks."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

_FORM: Final = re.compile(rb"sha256=([0-9a-f]{64})")


def is_well_formed(given: bytes) -> bool:
    """Say whether a field could be a signature: what cannot be is refused before the body."""
    return _FORM.fullmatch(given) is not None


def is_signed(body: bytes, given: bytes, secret: str) -> bool:
    """Say whether `given` is `sha256=<hex HMAC-SHA256 of the raw body>`; in constant time."""
    match = _FORM.fullmatch(given)
    if match is None:
        return False
    wanted = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted.encode("ascii"), match[1])
