"""The webhook over real TLS, asked as the API server asks."""

from __future__ import annotations

import asyncio
import datetime as dt
import io
import ipaddress
import json
import logging
import os
import signal
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sidecar.errors import UserError
from sidecar.inject.server import MAX_REVIEW_BYTES, Certificate, InjectorServer, run_injector
from tests.unit.inject.pods import config, pod


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


class Webhook:
    """A running server and where it is."""

    def __init__(self, server: InjectorServer, certificate: Certificate, port: int) -> None:
        self.server = server
        self.certificate = certificate
        self.port = port
        self.url = f"https://127.0.0.1:{port}"

    async def post(self, body: bytes | io.BytesIO) -> tuple[int, dict[str, object]]:
        """Ask as the API server does: the CA is the one certificate it was given."""
        context = ssl.create_default_context(cafile=str(self.certificate.cert))
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/mutate", data=body, ssl=context) as answer,
        ):
            found = await answer.json() if answer.content_type == "application/json" else {}
            return answer.status, found


@pytest.fixture
async def webhook(tmp_path: Path) -> AsyncIterator[Webhook]:
    """Run a webhook with a certificate of its own."""
    certificate = make_certificate(tmp_path, "first")
    server = InjectorServer(config(), certificate)
    port = await server.start("127.0.0.1", 0)
    yield Webhook(server, certificate, port)
    await server.close()


def _review() -> bytes:
    request = {
        "uid": "u",
        "kind": {"kind": "Pod"},
        "operation": "CREATE",
        "namespace": "acme",
        "object": pod(),
    }
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "request": request}).encode()


async def test_a_review_is_answered(webhook: Webhook) -> None:
    """The patch comes back over a connection that the given CA vouches for."""
    status, found = await webhook.post(_review())
    assert status == 200
    assert found["kind"] == "AdmissionReview"


async def test_a_stray_body_is_a_bad_request(webhook: Webhook) -> None:
    """It is told what was wrong, as every error of ours is."""
    status, found = await webhook.post(b"{}")
    assert status == 400
    assert "AdmissionReview" in str(found["detail"])


async def test_what_is_not_http_costs_one_quiet_line(
    webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    """No error and no traceback for whoever scans the cluster."""
    context = ssl.create_default_context(cafile=str(webhook.certificate.cert))
    with caplog.at_level(logging.INFO):
        reader, writer = await asyncio.open_connection("127.0.0.1", webhook.port, ssl=context)
        writer.write(b"POST /mutate HTTP/1.1\r\nHost: h\r\nbad name: x\r\n\r\n")
        assert (await reader.read()).split(b" ")[1] == b"400"
        writer.close()
    told = [(each.message, each.levelname, each.exc_info) for each in caplog.records]
    assert told == [("bad_request", "INFO", None)]


async def test_a_body_without_end_is_refused(webhook: Webhook) -> None:
    """Memory is bounded by what an object of the API can be."""
    status, _ = await webhook.post(io.BytesIO(b" " * (MAX_REVIEW_BYTES + 1)))
    assert status == 413


async def test_health_is_there_for_probes(webhook: Webhook) -> None:
    """The kubelet asks over HTTPS and looks at no certificate."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{webhook.url}/health", ssl=False) as answer,
    ):
        assert answer.status == 200


async def test_a_renewed_certificate_is_taken(webhook: Webhook, tmp_path: Path) -> None:
    """cert-manager replaces the files; new connections see the new one, and no restart is due."""
    make_certificate(tmp_path, "second")
    assert webhook.server.renew()
    shown = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", webhook.port))
    assert "second" in x509.load_pem_x509_certificate(shown.encode()).subject.rfc4514_string()
    assert not webhook.server.renew()


async def test_a_pair_that_does_not_fit_changes_nothing(webhook: Webhook, tmp_path: Path) -> None:
    """Between the writing of two files the old pair serves."""
    before = webhook.certificate.cert.read_bytes()
    make_certificate(tmp_path, "second")
    webhook.certificate.cert.write_bytes(before)
    assert not webhook.server.renew()
    status, _ = await webhook.post(_review())
    assert status == 200


async def test_a_missing_certificate_is_told(tmp_path: Path) -> None:
    """The path and the mend are in one line."""
    server = InjectorServer(config(), Certificate(tmp_path / "tls.crt", tmp_path / "tls.key"))
    with pytest.raises(UserError, match=r"tls\.crt: is no file: mount"):
        await server.start("127.0.0.1", 0)


async def test_a_taken_port_is_told(webhook: Webhook) -> None:
    """It names the address."""
    second = InjectorServer(config(), webhook.certificate)
    with pytest.raises(UserError, match=f"127.0.0.1:{webhook.port} cannot be listened on"):
        await second.start("127.0.0.1", webhook.port)


class _Heard(logging.Handler):
    """Notes the events of a log; `started` is set by the event of that name."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []
        self.started = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Note one."""
        self.events.append(record.getMessage())
        if self.events[-1] == "started":
            self.started.set()


async def test_it_runs_until_it_is_told_to_stop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """SIGTERM ends it in good order."""
    caplog.set_level("INFO", logger="sidecar.inject")
    heard = _Heard()
    log = logging.getLogger("sidecar.inject")
    log.addHandler(heard)
    certificate = make_certificate(tmp_path, "first")
    running = asyncio.ensure_future(run_injector(config(), certificate, host="127.0.0.1", port=0))
    try:
        await heard.started.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await running
    finally:
        log.removeHandler(heard)
    assert heard.events == ["started", "stopped"]
