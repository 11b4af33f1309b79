"""Writes vectors/jws.json: tokens that a verifier must accept or refuse, made with a fresh key.

Run as `python -m tests.unit.identity.make_vectors`. The families are those that published
collections of JSON Web Signature vectors agree on: parts missing or changed, algorithms confused,
and PKCS #1 v1.5 paddings that lenient verifiers took for good. The private key is not kept.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from sidecar.domain.credentials import IdentityFailure
from tests.unit.identity.mint import (
    CLAIMS,
    ISSUER,
    NOW,
    SECRET,
    SigningKey,
    changed,
    coded,
    compact,
    signer_hs256,
)

VECTORS: Final = Path(__file__).parent / "vectors" / "jws.json"

_SIZE: Final = 256  # bytes of the modulus
_SHA256: Final = bytes.fromhex("3031300d060960864801650304020105000420")
_SHA1: Final = bytes.fromhex("3021300906052b0e03021a05000414")
_SHA512_256: Final = bytes.fromhex("3031300d060960864801650304020605000420")
_KID: Final = "vector-key"
_SIGNATURE: Final = IdentityFailure.BAD_SIGNATURE
_MALFORMED: Final = IdentityFailure.MALFORMED
_ALGORITHM: Final = IdentityFailure.WRONG_ALGORITHM

Vector = tuple[str, bytes, str]
"""What it tries, the token, and the org or the failure that must come of it."""


def giving(signature: bytes) -> Callable[[bytes], bytes]:
    """Return what signs anything with this signature."""
    return lambda _: signature


def padded(info: bytes, *, block: bytes = b"\x00\x01", tail: bytes = b"") -> bytes:
    """Pad an encoded digest to the size of the modulus (RFC 8017 section 9.2)."""
    filler = b"\xff" * (_SIZE - len(block) - 1 - len(info) - len(tail))
    return block + filler + b"\x00" + info + tail


def paddings(digest: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield encoded messages that are nearly, but not, the one encoding of a SHA-256 digest."""
    good = _SHA256 + digest
    yield (
        "digest info without its NULL",
        padded(bytes.fromhex("302f300b0609608648016503040201") + b"\x04\x20" + digest),
    )
    yield "sequence length in long form", padded(b"\x30\x81\x31" + good[2:])
    yield "sequence length with a leading zero", padded(b"\x30\x82\x00\x31" + good[2:])
    yield "sequence length one more", padded(b"\x30\x32" + good[2:])
    yield "sequence length one less", padded(b"\x30\x30" + good[2:])
    yield "sequence of indefinite length", padded(b"\x30\x80" + good[2:] + b"\x00\x00")
    yield (
        "sequence length that overflows 32 bits",
        padded(b"\x30\x85\x01\x00\x00\x00\x31" + good[2:]),
    )
    yield (
        "NULL with a length of one",
        padded(b"\x30\x32" + good[2:3] + b"\x0e" + good[4:15] + b"\x05\x01\x00" + good[17:]),
    )
    yield (
        "garbage in the algorithm's parameters",
        padded(b"\x30\x35" + good[2:3] + b"\x11" + good[4:17] + b"\x04\x02ok" + good[17:]),
    )
    yield "garbage after the digest", padded(good + b"\x00" * 16)
    yield (
        "garbage after a short filler",
        (b"\x00\x01" + b"\xff" * 8 + b"\x00" + good + b"\xaa" * (_SIZE - 11 - len(good))),
    )
    yield "name of SHA-1", padded(_SHA1 + digest[:20])
    yield "name of SHA-512/256 with a SHA-256 digest", padded(_SHA512_256 + digest)
    yield "digest without its name", padded(digest)
    yield "digest with one byte more", padded(good[:-33] + b"\x21" + digest + b"\x00")
    yield "empty digest", padded(good[:-33] + b"\x00")
    yield "block of type 0", padded(good, block=b"\x00\x00")
    yield "block of type 2", padded(good, block=b"\x00\x02")
    yield "filler that starts with 0xfe", padded(good).replace(b"\x01\xff", b"\x01\xfe", 1)
    yield "filler with a zero in it", padded(good)[:50] + b"\x00" + padded(good)[51:]
    yield "no zero after the filler", padded(good).replace(b"\xff\x00\x30", b"\xff\xff\x30", 1)
    yield "filler of zeros", b"\x00\x01" + bytes(_SIZE - 2 - len(good)) + good


def platform_vectors(key: SigningKey) -> Iterator[Vector]:
    """Yield tokens for a source of the platform's."""
    numbers = key.private.private_numbers()
    modulus = numbers.public_numbers.n

    def raw(encoded: bytes) -> bytes:
        return pow(int.from_bytes(encoded, "big"), numbers.d, modulus).to_bytes(_SIZE, "big")

    def as_rs256(sign: Callable[[bytes], bytes], **header: object) -> bytes:
        return compact({"alg": "RS256", "kid": _KID, **header}, CLAIMS, sign)

    yield "a good token", as_rs256(key.sign), "org_acme"
    yield from edits(as_rs256(key.sign))
    for name, hash_type in (("RS384", hashes.SHA384()), ("RS512", hashes.SHA512())):

        def sign_longer(data: bytes, digest: hashes.HashAlgorithm = hash_type) -> bytes:
            return key.private.sign(data, padding.PKCS1v15(), digest)

        yield f"{name}, rightly signed", as_rs256(sign_longer, alg=name), _ALGORITHM
        yield f"{name} as RS256", as_rs256(sign_longer), _SIGNATURE

    def sign_pss(data: bytes) -> bytes:
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32)
        return key.private.sign(data, pss, hashes.SHA256())

    yield "PS256, rightly signed", as_rs256(sign_pss, alg="PS256"), _ALGORITHM
    yield "PS256 as RS256", as_rs256(sign_pss), _SIGNATURE
    pem = key.private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    yield "HS256 by the public key", as_rs256(signer_hs256(pem), alg="HS256"), _ALGORITHM
    yield "RS256 that is HS256 by the public key", as_rs256(signer_hs256(pem)), _SIGNATURE
    thief = SigningKey(_KID, rsa.generate_private_key(65537, 2048))
    yield "a key brought along", as_rs256(thief.sign, jwk=thief.jwk()), "forbidden_header"
    yield "another key under the kid", as_rs256(thief.sign), _SIGNATURE
    signing_input = as_rs256(key.sign).rpartition(b".")[0]
    digest = hashlib.sha256(signing_input).digest()
    right = padded(_SHA256 + digest)
    yield "padding: the right one", as_rs256(giving(raw(right))), "org_acme"
    for name, encoded in paddings(digest):
        yield f"padding: {name}", as_rs256(giving(raw(encoded))), _SIGNATURE
    good = key.sign(signing_input)
    value = int.from_bytes(good, "big")
    for name, signature in {
        "one byte less": good[:-1],
        "one byte more": good + b"\x00",
        "a zero before it": b"\x00" + good,
        "nought": bytes(_SIZE),
        "one": (1).to_bytes(_SIZE, "big"),
        "the modulus": modulus.to_bytes(_SIZE, "big"),
        "the modulus less one": (modulus - 1).to_bytes(_SIZE, "big"),
        "the modulus more": (value + modulus).to_bytes(_SIZE + 1, "big"),
        "the digest alone": digest,
    }.items():
        yield f"signature: {name}", as_rs256(giving(signature)), _SIGNATURE


def session_vectors() -> Iterator[Vector]:
    """Yield tokens for a source with a secret."""
    sign = signer_hs256(SECRET)
    claims = changed({"iss": None})
    good = compact({"alg": "HS256"}, claims, sign)
    yield "a good session", good, "org_acme"
    yield from edits(good)
    for name, digest in (("HS384", "sha384"), ("HS512", "sha512")):

        def sign_longer(data: bytes, digest: str = digest) -> bytes:
            return hmac.new(SECRET, data, digest).digest()

        yield f"{name}, rightly signed", compact({"alg": name}, claims, sign_longer), _ALGORITHM
        yield f"{name} as HS256", compact({"alg": "HS256"}, claims, sign_longer), _SIGNATURE
    mac = sign(good.rpartition(b".")[0])
    for length in (0, 1, 16, 31):
        cut = compact({"alg": "HS256"}, claims, giving(mac[:length]))
        yield f"a MAC of {length} bytes", cut, _SIGNATURE
    yield (
        "a MAC of 33 bytes",
        compact({"alg": "HS256"}, claims, lambda d: sign(d) + b"\0"),
        (_SIGNATURE),
    )
    yield "by no secret", compact({"alg": "HS256"}, claims, signer_hs256(b"")), _SIGNATURE


def edits(good: bytes) -> Iterator[Vector]:
    """Yield a good token with a part missing, changed or spelt otherwise."""
    header, payload, signature = good.split(b".")
    for name, token, wanted in (
        ("no signature", b".".join([header, payload, b""]), _SIGNATURE),
        ("no signature, no separator", header + b"." + payload, _MALFORMED),
        ("no payload", b".".join([header, b"", signature]), _SIGNATURE),
        ("no payload, no separator", header + b"." + signature, _MALFORMED),
        ("no header", b".".join([b"", payload, signature]), _MALFORMED),
        ("no header, no separator", payload + b"." + signature, _MALFORMED),
        ("only a payload", b"." + payload + b".", _MALFORMED),
        ("only separators", b"..", _MALFORMED),
        ("nothing", b"", _MALFORMED),
        ("an empty part more", good + b".", _MALFORMED),
        ("a part more", good + b".eyJhIjoxfQ", _MALFORMED),
        ("a part before", b"eyJhIjoxfQ." + good, _MALFORMED),
        ("JSON serialization", _as_json(header, payload, signature), _MALFORMED),
        ("first byte of the signature changed", _flip(header, payload, signature), _SIGNATURE),
        ("another payload", b".".join([header, coded(b'{"a":1}'), signature]), _SIGNATURE),
        ("a space before", b" " + good, _MALFORMED),
        ("a line end after", good + b"\n", _MALFORMED),
        ("quotes around", b'"' + good + b'"', _MALFORMED),
    ):
        yield name, token, wanted
    fields = json.loads(base64.urlsafe_b64decode(header + b"=" * (-len(header) % 4)))
    for algorithm in ("none", "None", "NONE", "nOnE", ""):
        unsigned = coded(json.dumps({**fields, "alg": algorithm}).encode())
        yield f"algorithm {algorithm!r}", b".".join([unsigned, payload, b""]), _ALGORITHM
        kept = b".".join([unsigned, payload, signature])
        yield f"algorithm {algorithm!r}, signature kept", kept, _ALGORITHM
    for place, part in enumerate((header, payload, signature)):
        name = ("header", "payload", "signature")[place]
        for what, spelling in {
            "padding": part + b"=" * (-len(part) % 4 or 1),
            "a blank": part[:4] + b" " + part[4:],
            "a line end": part[:4] + b"\r\n" + part[4:],
            "a letter of the other alphabet": part[:-1] + b"+",
            "a letter more": part + b"A" * (1 if len(part) % 4 == 0 else 5 - len(part) % 4),
        }.items():
            parts = [header, payload, signature]
            parts[place] = spelling
            yield f"{name} with {what}", b".".join(parts), _MALFORMED


def _flip(header: bytes, payload: bytes, signature: bytes) -> bytes:
    changed_first = b"B" if signature[:1] == b"A" else b"A"
    return b".".join([header, payload, changed_first + signature[1:]])


def _as_json(header: bytes, payload: bytes, signature: bytes) -> bytes:
    parts = {"protected": header, "payload": payload, "signature": signature}
    return json.dumps({name: part.decode() for name, part in parts.items()}).encode()


def write() -> None:
    """Write the file anew."""
    key = SigningKey(_KID, rsa.generate_private_key(65537, 2048))
    document = {
        "about": "made by tests/unit/identity/make_vectors.py with a key that was not kept",
        "now": NOW,
        "issuer": ISSUER,
        "secret": SECRET.decode(),
        "keys": [key.jwk()],
        "platform": [_as_entry(*vector) for vector in platform_vectors(key)],
        "session": [_as_entry(*vector) for vector in session_vectors()],
    }
    VECTORS.write_text(json.dumps(document, indent=1) + "\n")


def _as_entry(tries: str, token: bytes, wanted: str) -> dict[str, str]:
    return {"tries": tries, "token": token.decode(), "wanted": wanted}


if __name__ == "__main__":
    write()
