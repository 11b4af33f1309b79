"""The certificate's files: what cannot be used is named, and a change is seen."""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sidecar.domain.errors import UserError
from sidecar.inject.certificate import Certificate


def make_certificate(folder: Path, name: str) -> Certificate:
    """Write a self-signed certificate for 127.0.0.1 into a folder."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    certificate = Certificate(folder / "tls.crt", folder / "tls.key")
    certificate.cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    certificate.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate


def test_a_missing_certificate_is_named(tmp_path: Path) -> None:
    """The path and the fix are in one line."""
    with pytest.raises(UserError, match=r"tls\.crt: is no file: mount"):
        Certificate(tmp_path / "tls.crt", tmp_path / "tls.key").context()


def test_a_key_that_does_not_fit_is_named(tmp_path: Path) -> None:
    """Both files are."""
    certificate = make_certificate(tmp_path, "first")
    kept = certificate.key.read_bytes()
    make_certificate(tmp_path, "second")
    certificate.key.write_bytes(kept)
    with pytest.raises(UserError, match=r"tls\.crt, .*tls\.key: are no certificate and key"):
        certificate.context()


def test_a_change_is_seen_in_the_digest(tmp_path: Path) -> None:
    """By the content alone."""
    certificate = make_certificate(tmp_path, "first")
    before = certificate.digest()
    assert certificate.digest() == before
    make_certificate(tmp_path, "second")
    assert certificate.digest() != before
