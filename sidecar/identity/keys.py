"""The key set's document, read into keys to trust. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from sidecar.identity.jws import LONGEST_KID, decode_segment, read_object

_SMALLEST_MODULUS: Final = 2048  # bits; RFC 7518 section 3.3
_LARGEST_MODULUS: Final = 8192  # bits; beyond, one check costs milliseconds
_LARGEST_EXPONENT: Final = 2**32  # ours; every published key has 65537


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A key of the platform's: what it signed holds for as long as this object is in force."""

    kid: str
    public: RSAPublicKey
    modulus: int
    exponent: int


def read_key_set(body: bytes, known: Mapping[str, TrustedKey]) -> dict[str, TrustedKey] | None:
    """Read `{"keys": [...]}` (RFC 7517, as narrowed by the contract); None when it is not that.

    An entry that is not an RSA signing key for RS256 of 2048 bits or more is ignored, and so is
    a kid that two different entries claim: which one is meant cannot be known. A key that is
    among the `known` stays the same object, so that what it verified stays verified.
    """
    document = read_object(body)
    if document is None or not isinstance(document.get("keys"), list):
        return None
    keys: dict[str, TrustedKey] = {}
    disputed: set[str] = set()
    for entry in document["keys"]:
        key = _read_key(entry, known)
        if key is None:
            continue
        other = keys.setdefault(key.kid, key)
        if (other.modulus, other.exponent) != (key.modulus, key.exponent):
            disputed.add(key.kid)
    return {kid: key for kid, key in keys.items() if kid not in disputed}


def _read_key(entry: object, known: Mapping[str, TrustedKey]) -> TrustedKey | None:
    if not isinstance(entry, dict):
        return None
    if (entry.get("kty"), entry.get("use"), entry.get("alg")) != ("RSA", "sig", "RS256"):
        return None
    if "d" in entry:  # a private key that was published is anyone's
        return None
    kid = entry.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= LONGEST_KID:
        return None
    modulus = _read_number(entry.get("n"))
    exponent = _read_number(entry.get("e"))
    if modulus is None or exponent is None:
        return None
    if not _SMALLEST_MODULUS <= modulus.bit_length() <= _LARGEST_MODULUS or modulus % 2 == 0:
        return None
    if not 1 < exponent <= _LARGEST_EXPONENT or exponent % 2 == 0:
        return None
    same = known.get(kid)
    if same is not None and (same.modulus, same.exponent) == (modulus, exponent):
        return same
    try:
        public = RSAPublicNumbers(exponent, modulus).public_key()
    except ValueError:  # the library has limits of its own
        return None
    return TrustedKey(kid, public, modulus, exponent)


def _read_number(coded: object) -> int | None:
    """Read a Base64urlUInt (RFC 7518 section 2)."""
    if not isinstance(coded, str) or not coded.isascii():
        return None
    data = decode_segment(coded.encode("ascii"))
    return int.from_bytes(data, "big") if data else None
