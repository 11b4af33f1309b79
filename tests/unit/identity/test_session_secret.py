"""Which secrets verify sessions, and which of those are warned of."""

from __future__ import annotations

import datetime as dt
import json
import os

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from jwt import get_algorithm_by_name
from jwt.exceptions import InvalidKeyError

from sidecar.identity.session_secret import is_usable, secret_problem
from tests.unit.identity.mint import signing_key

KEY = signing_key("one")
RSA = rsa.generate_private_key(65537, 2048)
KEYS: dict[str, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey] = {
    "rsa": RSA,
    "ec": ec.generate_private_key(ec.SECP256R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
}


def _certificate() -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a.test")])
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder(name, name, RSA.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(RSA, hashes.SHA256())
    )


def _forms() -> dict[str, bytes]:
    forms = {"nothing": b""}
    for name, key in KEYS.items():
        public = key.public_key()
        for form, encoding in (("PEM", Encoding.PEM), ("DER", Encoding.DER)):
            forms[f"{name} {form}"] = public.public_bytes(
                encoding, PublicFormat.SubjectPublicKeyInfo
            )
        forms[f"{name} SSH"] = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        forms[f"{name} private PEM"] = key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
    certificate = _certificate()
    forms["certificate PEM"] = certificate.public_bytes(Encoding.PEM)
    forms["certificate DER"] = certificate.public_bytes(Encoding.DER)
    forms["PEM behind other text"] = b"# ours" + b"\n" + forms["rsa PEM"]
    forms["JWK"] = json.dumps(KEY.jwk()).encode()
    forms["JWK set"] = json.dumps({"keys": [KEY.jwk()]}, separators=(",", ":")).encode()
    return forms


FORMS = _forms()


@pytest.mark.parametrize("name", [name for name in FORMS if "DER" not in name])
def test_a_key_in_any_common_form_is_no_secret(name: str) -> None:
    """PyJWT agrees, and the start warns that no session will be accepted."""
    secret = FORMS[name]
    assert not is_usable(secret)
    assert "no session will be accepted" in str(secret_problem(secret))
    with pytest.raises(InvalidKeyError):
        get_algorithm_by_name("HS256").prepare_key(secret)


@pytest.mark.parametrize("name", [name for name in FORMS if "DER" in name])
def test_a_key_in_der_fits_into_no_variable(name: str) -> None:
    """It has a NUL byte, so no session secret can be one."""
    with pytest.raises(ValueError, match="null byte"):
        os.environb[b"APP_SESSION_SECRET"] = FORMS[name]


@pytest.mark.parametrize(
    "secret",
    [
        b"s" * 32,
        b'{"key": "value of the product\'s own making"}',
        b"ssh is no secret, but this sentence is",
        "gehört zum Geheimnis: sechsunddreißig".encode(),
    ],
)
def test_any_other_secret_is_used(secret: bytes) -> None:
    """And, at 32 bytes or more, without a warning."""
    assert is_usable(secret)
    assert secret_problem(secret) is None


def test_a_short_secret_is_warned_of_and_used() -> None:
    """It verifies, as the product chose it."""
    assert is_usable(b"short")
    assert "has 5 bytes" in str(secret_problem(b"short"))
