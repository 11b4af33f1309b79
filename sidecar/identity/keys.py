"""The key set's document, read into keys to trust. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
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


@dataclass(frozen=True, slots=True)
class KeySetReading:
    """The keys of a document that are trusted, and why others are not: each cause, how often."""

    keys: dict[str, TrustedKey]
    ignored: Mapping[str, int]

    def ignored_text(self) -> str:
        """Name each cause with the number of its keys; empty where every key is trusted."""
        return ", ".join(f"{number} ignored ({cause})" for cause, number in self.ignored.items())


class _Ignored(Exception):  # noqa: N818 - goes no further than this module
    """An entry is not trusted; the text is the cause."""


def read_key_set(body: bytes, known: Mapping[str, TrustedKey]) -> KeySetReading | None:
    """Read `{"keys": [...]}` (RFC 7517, as narrowed by the contract); None when it is not that.

    An entry that is not an RSA signing key for RS256 of 2048 bits or more is ignored, and so is
    a kid that two different entries claim: which one is meant cannot be known. A key that is
    among the `known` stays the same object, so that what it verified stays verified.
    """
    document = read_object(body)
    if document is None or not isinstance(document.get("keys"), list):
        return None
    keys: dict[str, TrustedKey] = {}
    ignored: Counter[str] = Counter()
    disputed: set[str] = set()
    for entry in document["keys"]:
        try:
            key = _read_key(entry, known)
        except _Ignored as cause:
            ignored[str(cause)] += 1
            continue
        other = keys.setdefault(key.kid, key)
        if (other.modulus, other.exponent) != (key.modulus, key.exponent):
            disputed.add(key.kid)
    if disputed:
        ignored["its kid is another key's too"] = len(disputed)
    return KeySetReading(
        {kid: key for kid, key in keys.items() if kid not in disputed}, MappingProxyType(ignored)
    )


def _read_key(entry: object, known: Mapping[str, TrustedKey]) -> TrustedKey:
    """Read one entry. Raises _Ignored."""
    if not isinstance(entry, dict):
        raise _Ignored("not an object")
    kid = _read_purpose(entry)
    modulus, exponent = _read_numbers(entry)
    same = known.get(kid)
    if same is not None and (same.modulus, same.exponent) == (modulus, exponent):
        return same
    try:
        public = RSAPublicNumbers(exponent, modulus).public_key()
    except ValueError as error:  # the library has limits of its own
        raise _Ignored("'n' or 'e' is no number of an RSA key") from error
    return TrustedKey(kid, public, modulus, exponent)


def _read_purpose(entry: Mapping[str, object]) -> str:
    """See that an entry is a public key that verifies RS256; return its kid."""
    for name, value in (("kty", "RSA"), ("use", "sig"), ("alg", "RS256")):
        if entry.get(name) is None:
            raise _Ignored(f"no {name!r}: {value!r} is needed")
        if entry[name] != value:
            raise _Ignored(f"another {name!r} than {value!r}")
    if "d" in entry:  # anyone can sign with it
        raise _Ignored("a private key was published")
    kid = entry.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= LONGEST_KID:
        raise _Ignored(f"no 'kid' of 1 to {LONGEST_KID} characters")
    return kid


def _read_numbers(entry: Mapping[str, object]) -> tuple[int, int]:
    """Return modulus and exponent."""
    modulus = _read_number(entry.get("n"))
    exponent = _read_number(entry.get("e"))
    if modulus is None or exponent is None:
        raise _Ignored("'n' or 'e' is no Base64urlUInt")
    bits = modulus.bit_length()
    if not _SMALLEST_MODULUS <= bits <= _LARGEST_MODULUS:
        raise _Ignored(f"{bits} bits: {_SMALLEST_MODULUS} to {_LARGEST_MODULUS} are needed")
    if modulus % 2 == 0 or not 1 < exponent <= _LARGEST_EXPONENT or exponent % 2 == 0:
        raise _Ignored("'n' or 'e' is no number of an RSA key")
    return modulus, exponent


def _read_number(coded: object) -> int | None:
    """Read a Base64urlUInt (RFC 7518 section 2)."""
    if not isinstance(coded, str) or not coded.isascii():
        return None
    data = decode_segment(coded.encode("ascii"))
    return int.from_bytes(data, "big") if data else None
