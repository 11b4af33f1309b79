"""The certificate of the gRPC port."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from sidecar.domain.errors import UserError
from sidecar.frontends.envoy.tls import ServerCertificate, TlsFiles
from tests.fakes.certificates import loopback_contexts


def files(folder: Path, client_ca: str | None = None) -> TlsFiles:
    """Make a certificate."""
    folder.mkdir(exist_ok=True)
    loopback_contexts(folder)
    pem = folder / "loopback.pem"
    return TlsFiles(pem, pem, folder / client_ca if client_ca else None)


def test_a_certificate_with_its_key_is_read(tmp_path: Path) -> None:
    """With the authorities of clients, where they are asked for one."""
    assert ServerCertificate(files(tmp_path)).credentials is not None
    assert ServerCertificate(files(tmp_path, "loopback.pem")).credentials is not None


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("cert", None, "cannot be read (No such file or directory)"),
        ("cert", "nothing", "are no certificate with its key"),
        ("client_ca", "nothing", "holds no certificate"),
        ("client_ca", None, "cannot be read"),
    ],
)
def test_a_file_of_no_use_is_named(
    tmp_path: Path, name: str, content: str | None, problem: str
) -> None:
    """At the start, with what is wrong with it."""
    good = files(tmp_path)
    bad = tmp_path / "bad.pem"
    if content is not None:
        bad.write_text(content)
    found = {"cert": good.cert, "key": good.key, "client_ca": None, name: bad}
    with pytest.raises(UserError) as error:
        ServerCertificate(TlsFiles(**found))  # type: ignore[arg-type]
    assert str(bad) in str(error.value)
    assert problem in str(error.value)


def test_a_new_certificate_is_used_from_the_next_handshake_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And a bad one is not: the old one stays."""
    caplog.set_level(logging.INFO)
    certificate = ServerCertificate(files(tmp_path))
    assert certificate.changed() is None
    loopback_contexts(tmp_path)
    assert certificate.changed() is not None
    assert certificate.changed() is None
    (tmp_path / "loopback.pem").write_text("half")
    assert certificate.changed() is None
    (tmp_path / "loopback.pem").unlink()
    assert certificate.changed() is None
    assert [record.message for record in caplog.records] == [
        "grpc_certificate_loaded", "grpc_certificate_rejected", "grpc_certificate_rejected",
    ]  # fmt: skip
