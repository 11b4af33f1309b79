"""One compact JWS, taken apart strictly. Pure.

Whatever two readers could read in two ways is refused here, before a signature is looked at:
other base64 spellings of the same bytes, repeated JSON members, other encodings than UTF-8.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from sidecar.domain.credentials import IdentityFailure

LONGEST_TOKEN: Final = 8192
"""Bytes of a token; more cannot stand in a cookie that browsers keep."""

LONGEST_KID: Final = 200
"""Characters of a key's name."""

_SEGMENTS: Final = 3
_MOST_BRACKETS: Final = 256
_FORBIDDEN: Final = ("jwk", "jku", "x5u", "x5c", "crit", "b64")
"""Parameters that bring a key along, point at one, or change how the rest is read.

`x5t` is not among them: it is only a hint, keys are chosen by `kid` alone, and RFC 7515 section 4
wants parameters that are not understood to be ignored.
"""


@dataclass(frozen=True, slots=True)
class Jws:
    """The parts of a token that may be trusted with nothing until its signature is checked."""

    kid: str | None
    signing_input: bytes
    payload: bytes
    signature: bytes


def read_jws(token: bytes, algorithm: str) -> Jws | IdentityFailure:
    """Take a token apart; its header must name exactly `algorithm` (RFC 8725 section 3.1)."""
    if len(token) > LONGEST_TOKEN:
        return IdentityFailure.TOO_LARGE
    if token.count(b".") != _SEGMENTS - 1:
        return IdentityFailure.MALFORMED
    signing_input, _, coded_signature = token.rpartition(b".")
    coded_header, _, coded_payload = signing_input.partition(b".")
    header_bytes = decode_segment(coded_header)
    payload = decode_segment(coded_payload)
    signature = decode_segment(coded_signature)
    if header_bytes is None or payload is None or signature is None:
        return IdentityFailure.MALFORMED
    header = read_object(header_bytes)
    if header is None:
        return IdentityFailure.MALFORMED
    if header.get("alg") != algorithm:
        return IdentityFailure.WRONG_ALGORITHM
    if any(name in header for name in _FORBIDDEN):
        return IdentityFailure.FORBIDDEN_HEADER
    kid = header.get("kid")
    # A null is a kid of the wrong type, not an absent one.
    if "kid" in header and not (isinstance(kid, str) and 0 < len(kid) <= LONGEST_KID):
        return IdentityFailure.MALFORMED
    return Jws(kid, signing_input, payload, signature)


def decode_segment(coded: bytes) -> bytes | None:
    """Decode base64url as RFC 7515 section 2 spells it; None for any other spelling.

    Encoding the result again must give the same bytes: that refuses padding, white space, the
    other alphabet and stray bits at the end in one comparison.
    """
    try:
        data = base64.urlsafe_b64decode(coded + b"=" * (-len(coded) % 4))
    except binascii.Error:
        return None
    if base64.urlsafe_b64encode(data).rstrip(b"=") != coded:
        return None
    return data


def read_object(data: bytes) -> dict[str, Any] | None:
    """Read a JSON object in UTF-8; None for anything else, a repeated member, NaN or Infinity.

    So is one with too many brackets: how deep the parser would follow differs between Pythons.
    """
    if data.count(b"{") + data.count(b"[") > _MOST_BRACKETS:
        return None
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError):  # bad UTF-8 and over-long numbers are ValueErrors too
        return None
    return value if isinstance(value, dict) else None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a JSON member is repeated; readers differ in which one they take")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON (RFC 8259 section 6)")
