"""Which tokens are verified, and when they are valid."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from sidecar.domain.credentials import IdentityFailure
from sidecar.domain.model import Identity
from sidecar.identity.tokens import (
    SessionTrust,
    Trust,
    read_token,
)
from tests.unit.identity.mint import (
    CLAIMS,
    NOW,
    SECRET,
    changed,
    coded,
    compact,
    mint,
    mint_session,
    signer_hs256,
    signing_key,
    trust,
    verify,
)

KEY = signing_key("one")
OTHER = signing_key("two")
PUBLIC = KEY.private.public_key()
SESSION = SessionTrust(SECRET)


def outcome(token: bytes, trusted: Trust | None = None, now: float = NOW) -> str:
    """Verify a token; return the org it speaks for, or the failure."""
    result = verify(token, trusted or trust(KEY), now)
    return result.org_id if isinstance(result, Identity) else result


def test_token_of_the_platform() -> None:
    """A token that the platform signed is verified."""
    assert outcome(mint(KEY)) == "org_acme"


def test_session_of_the_product() -> None:
    """A session that the product signed is verified with its secret."""
    assert outcome(mint_session(), SESSION) == "org_acme"


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE"])
@pytest.mark.parametrize("signature", [b"", b"x", b"x" * 256])
def test_unsigned_token(name: str, signature: bytes) -> None:
    """`alg: none` is refused in any case and with any signature."""
    token = compact({"alg": name, "kid": "one"}, CLAIMS, lambda _: signature)
    assert outcome(token) == IdentityFailure.WRONG_ALGORITHM


def _spki(encoding: serialization.Encoding) -> bytes:
    return PUBLIC.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)


def _pkcs1(encoding: serialization.Encoding) -> bytes:
    return PUBLIC.public_bytes(encoding, serialization.PublicFormat.PKCS1)


PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
PUBLIC_AS_BYTES = {
    "spki pem": _spki(PEM),
    "spki pem without its last newline": _spki(PEM).rstrip(b"\n"),
    "spki pem with crlf": _spki(PEM).replace(b"\n", b"\r\n"),
    "spki der": _spki(DER),
    "pkcs1 pem": _pkcs1(PEM),
    "pkcs1 der": _pkcs1(DER),
    "openssh": PUBLIC.public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    ),
    "jwk": json.dumps(KEY.jwk()).encode(),
    "jwk, compact": json.dumps(KEY.jwk(), separators=(",", ":")).encode(),
    "key set": json.dumps({"keys": [KEY.jwk()]}).encode(),
    "n, base64url": str(KEY.jwk()["n"]).encode(),
    "n, bytes": PUBLIC.public_numbers().n.to_bytes(256, "big"),
    "kid": b"one",
    "nothing": b"",
}


@pytest.mark.parametrize("secret", PUBLIC_AS_BYTES.values(), ids=PUBLIC_AS_BYTES)
def test_public_key_as_a_secret(secret: bytes) -> None:
    """HS256 keyed with the public key, in any encoding, is refused (conformance 26)."""
    token = compact({"alg": "HS256", "kid": "one"}, CLAIMS, signer_hs256(secret))
    assert outcome(token) == IdentityFailure.WRONG_ALGORITHM


@pytest.mark.parametrize("secret", PUBLIC_AS_BYTES.values(), ids=PUBLIC_AS_BYTES)
def test_relabelled_public_key_as_a_secret(secret: bytes) -> None:
    """The same signature under an RS256 header is no RSA signature."""
    token = compact({"alg": "RS256", "kid": "one"}, CLAIMS, signer_hs256(secret))
    assert outcome(token) == IdentityFailure.BAD_SIGNATURE


@pytest.mark.parametrize("name", ["spki pem", "pkcs1 pem", "openssh", "jwk", "key set", "nothing"])
def test_public_key_configured_as_the_secret(name: str) -> None:
    """A product that configured a public key as its secret gets no session, not a forged one."""
    secret = PUBLIC_AS_BYTES[name]
    assert outcome(mint_session(secret), SessionTrust(secret)) == IdentityFailure.BAD_SIGNATURE


def _rs384(data: bytes) -> bytes:
    return KEY.private.sign(data, padding.PKCS1v15(), hashes.SHA384())


def _rs512(data: bytes) -> bytes:
    return KEY.private.sign(data, padding.PKCS1v15(), hashes.SHA512())


def _ps256(data: bytes) -> bytes:
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32)
    return KEY.private.sign(data, pss, hashes.SHA256())


def _es256(data: bytes) -> bytes:
    der = ec.generate_private_key(ec.SECP256R1()).sign(data, ec.ECDSA(hashes.SHA256()))
    r, s = decode_dss_signature(der)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


OTHER_SIGNERS = {"RS384": _rs384, "RS512": _rs512, "PS256": _ps256, "ES256": _es256}


@pytest.mark.parametrize("name", OTHER_SIGNERS)
def test_other_algorithms(name: str) -> None:
    """A token that another algorithm signed, rightly, with the same key is refused."""
    token = compact({"alg": name, "kid": "one"}, CLAIMS, OTHER_SIGNERS[name])
    assert outcome(token) == IdentityFailure.WRONG_ALGORITHM


@pytest.mark.parametrize("sign", OTHER_SIGNERS.values(), ids=OTHER_SIGNERS)
def test_relabelled_algorithms(sign: Callable[[bytes], bytes]) -> None:
    """The same signatures under an RS256 header are no RS256 signatures."""
    token = compact({"alg": "RS256", "kid": "one"}, CLAIMS, sign)
    assert outcome(token) == IdentityFailure.BAD_SIGNATURE


def test_platform_token_is_no_session() -> None:
    """A session cookie that holds a token of the platform's is refused."""
    assert outcome(mint(KEY), SESSION) == IdentityFailure.WRONG_ALGORITHM


def test_session_is_no_platform_token() -> None:
    """A `bb_at` that holds a session of the product's is refused."""
    assert outcome(mint_session()) == IdentityFailure.WRONG_ALGORITHM


def test_session_of_another_secret() -> None:
    """A session that another product signed is refused."""
    assert outcome(mint_session(b"other" * 8), SESSION) == IdentityFailure.BAD_SIGNATURE


def test_key_brought_along() -> None:
    """A token that brings the key that signed it is refused (conformance 27)."""
    token = mint(OTHER, header={"kid": "one", "jwk": OTHER.jwk(kid="one")})
    assert outcome(token) == IdentityFailure.FORBIDDEN_HEADER


def test_other_key_under_a_known_kid() -> None:
    """A token that names a key of the platform's but was signed by another is refused."""
    assert outcome(mint(OTHER, header={"kid": "one"})) == IdentityFailure.BAD_SIGNATURE


def test_no_other_key_is_tried() -> None:
    """The kid alone chooses the key: one that would fit under another kid is not tried."""
    token = mint(OTHER, header={"kid": "one"})
    assert outcome(token, trust(KEY, OTHER)) == IdentityFailure.BAD_SIGNATURE


def test_unknown_kid() -> None:
    """A kid that a newer key set may know is told apart from a bad signature."""
    assert outcome(mint(OTHER)) == IdentityFailure.UNKNOWN_KEY


@pytest.mark.parametrize(
    "kid",
    [
        "../../etc/passwd",
        "/dev/null",
        "..\\..\\boot.ini",
        "one' OR '1'='1",
        'one"',
        "one\x00",
        "one\n",
        "one ",
        "http://evil.example/key",
        "\u00fc",
        "\ud800",
        "one;two",
        "k" * 10_000,
    ],
)
def test_hostile_kid(kid: str) -> None:
    """A kid that is a path, a quote or too long is malformed, so that it causes no fetch."""
    token = mint(KEY, header={"kid": kid})
    wanted = {IdentityFailure.MALFORMED, IdentityFailure.TOO_LARGE}
    assert verify(token, trust(KEY), NOW) in wanted


def test_odd_kid_of_a_known_key() -> None:
    """A kid that the platform itself publishes may look as it likes."""
    odd = signing_key("arn:aws:kms:eu:1:key/abc")
    assert outcome(mint(odd), trust(odd)) == "org_acme"


def test_missing_kid() -> None:
    """A token of the platform's names its key."""
    token = compact({"alg": "RS256"}, CLAIMS, KEY.sign)
    assert outcome(token) == IdentityFailure.MALFORMED


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"null", b"not json", b'{"exp":1,"exp":9999999999}', b"\xff"]
)
def test_signed_nonsense(payload: bytes) -> None:
    """A good signature over something that is no claims set is malformed."""
    token = compact({"alg": "RS256", "kid": "one"}, payload, KEY.sign)
    assert outcome(token) == IdentityFailure.MALFORMED


def test_claims_are_not_read_before_the_signature() -> None:
    """What an unsigned token claims is not told to anyone."""
    token = mint(OTHER, header={"kid": "one"}, exp=1, iss="other")
    assert outcome(token) == IdentityFailure.BAD_SIGNATURE


@pytest.mark.parametrize(
    ("now", "wanted"),
    [
        (NOW + 59.999, "org_acme"),
        (NOW + 60, IdentityFailure.EXPIRED),
        (NOW + 61, IdentityFailure.EXPIRED),
        (NOW + 10_000, IdentityFailure.EXPIRED),
    ],
)
def test_end_of_life(now: float, wanted: str) -> None:
    """A token lives 60 s past its `exp`, and not on the 60th second itself."""
    assert outcome(mint(KEY, exp=int(NOW)), now=now) == wanted


@pytest.mark.parametrize(
    ("now", "wanted"),
    [
        (NOW - 61, IdentityFailure.NOT_YET_VALID),
        (NOW - 60.001, IdentityFailure.NOT_YET_VALID),
        (NOW - 60, "org_acme"),
        (NOW, "org_acme"),
    ],
)
def test_beginning_of_life(now: float, wanted: str) -> None:
    """A token lives from 60 s before its `nbf`, that second included."""
    assert outcome(mint(KEY, nbf=int(NOW)), now=now) == wanted


def test_issued_in_the_future_is_no_fault() -> None:
    """`iat` only tells an age (RFC 7519 section 4.1.6): it makes no token invalid."""
    assert outcome(mint(KEY, iat=int(NOW) + 3600)) == "org_acme"


def test_wrong_issuer() -> None:
    """A token of another issuer is refused, though a trusted key signed it."""
    assert outcome(mint(KEY, iss="https://auth.bizbasics.app")) == IdentityFailure.WRONG_ISSUER


def test_bad_claims() -> None:
    """A token without an org is refused."""
    assert outcome(mint(KEY, org_id=None)) == IdentityFailure.BAD_CLAIMS


@pytest.mark.parametrize("kid", [1, None, []])
def test_session_with_an_impossible_kid(kid: object) -> None:
    """A session needs no kid, but one that it has is a string."""
    token = compact({"alg": "HS256", "kid": kid}, changed({}), signer_hs256(SECRET))
    assert outcome(token, SESSION) == IdentityFailure.MALFORMED


def test_truncated_mac() -> None:
    """A MAC that was cut short is no MAC."""
    token = mint_session()
    head, _, signature = token.rpartition(b".")
    short = head + b"." + coded(b"")
    assert outcome(short, SESSION) == IdentityFailure.BAD_SIGNATURE
    assert len(signature) == 43


def test_secret_is_not_shown() -> None:
    """What is printed of a trust does not hold the secret."""
    assert SECRET.decode() not in repr(SESSION)


def test_key_is_told() -> None:
    """What was verified names the key, so that it can fall with it."""
    trusted = trust(KEY)
    verified = read_token(mint(KEY), trusted)
    assert not isinstance(verified, IdentityFailure)
    assert verified.key is trusted.keys["one"]


def test_a_short_secret_verifies() -> None:
    """How long it is, is the product's choice."""
    assert outcome(mint_session(b"short"), SessionTrust(b"short")) == "org_acme"


def test_key_of_3072_bits() -> None:
    """A larger key than the least one verifies as well."""
    large = type(KEY)("large", rsa.generate_private_key(65537, 3072))
    assert outcome(mint(large), trust(large)) == "org_acme"
