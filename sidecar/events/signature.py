"""Whether a delivery is the platform's own. Pure. Source: the platform's contract, Webhooks."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

_FORM: Final = re.compile(rb"sha256=([0-9a-f]{64})")


def is_signed(body: bytes, given: bytes, secret: str) -> bool:
    """Say whether `given` is `sha256=<hex HMAC-SHA256 of the raw body>`; in constant time."""
    match = _FORM.fullmatch(given)
    wanted = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    # Compared also where the form is wrong, so that time tells nothing of how far it was right.
    told = match[1] if match else b"0" * 64
    return hmac.compare_digest(wanted.encode("ascii"), told) and match is not None
