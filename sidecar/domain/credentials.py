"""Where a caller's credential is found, and what can be wrong with it. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class CookieSource:
    """An identity taken from a cookie; with `secret`, the product's own HS256 session."""

    name: str
    secret: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class BearerSource:
    """An identity taken from `Authorization: Bearer`."""


IdentitySource = CookieSource | BearerSource


class IdentityFailure(StrEnum):
    """Why no identity could be had: the `kind` label of `identity_failures_total`."""

    MISSING = "missing"
    AMBIGUOUS = "ambiguous"
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    WRONG_ALGORITHM = "wrong_algorithm"
    FORBIDDEN_HEADER = "forbidden_header"
    UNKNOWN_KEY = "unknown_key"
    BAD_SIGNATURE = "bad_signature"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_ISSUER = "wrong_issuer"
    BAD_CLAIMS = "bad_claims"
    KEYS_UNAVAILABLE = "keys_unavailable"
