"""The webhook over real TLS, asked as the API server asks."""

from __future__ import annotations

import asyncio
import gzip
import io
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
from prometheus_client.parser import text_string_to_metric_families

from sidecar.domain.errors import UserError
from sidecar.inject.certificate import Certificate
from sidecar.inject.reviews import METRIC
from sidecar.inject.server import MAX_REVIEW_BYTES, InjectorServer, run_injector
from sidecar.inject.words import INJECT
from tests.e2e.harness import eventually
from tests.unit.inject.pods import config, pod
from tests.unit.inject.test_certificate import make_certificate


class Webhook:
    """A running server and where it is."""

    def __init__(
        self, server: InjectorServer, certificate: Certificate, port: int, plain: int
    ) -> None:
        self.server = server
        self.certificate = certificate
        self.port = port
        self.plain = plain
        self.url = f"https://127.0.0.1:{port}"

    async def counted(self) -> dict[str, float]:
        """Return how many requests had which outcome, without those that none had."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.plain}/metrics") as answer,
        ):
            families = text_string_to_metric_families(await answer.text())
        samples = [each for family in families for each in family.samples if each.name == METRIC]
        return {each.labels["outcome"]: each.value for each in samples if each.value}

    async def open(
        self, length: int, start: bytes, *fields: bytes
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Begin a review of `length` bytes, and send the start of it."""
        context = ssl.create_default_context(cafile=str(self.certificate.cert))
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context)
        head = [b"POST /mutate HTTP/1.1", b"Host: h", b"Content-Length: %d" % length, *fields]
        writer.write(b"\r\n".join(head) + b"\r\n\r\n" + start)
        await writer.drain()
        return reader, writer

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
    plain = await server.start_plain("127.0.0.1", 0)
    yield Webhook(server, certificate, port, plain)
    await server.close()


async def status_of(reader: asyncio.StreamReader) -> int:
    """Read the status of an answer."""
    async with asyncio.timeout(10):
        return int((await reader.readline()).split()[1])


def _review(inject: str = "true", **spec: object) -> bytes:
    asking = pod()
    asking["metadata"]["labels"][INJECT] = inject
    asking["spec"].update(spec)
    request = {
        "uid": "u",
        "kind": {"kind": "Pod"},
        "operation": "CREATE",
        "namespace": "acme",
        "object": asking,
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
    with caplog.at_level(logging.INFO, "sidecar"):
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


async def test_too_long_a_body_is_refused_before_it_comes(webhook: Webhook) -> None:
    """By its Content-Length."""
    reader, writer = await webhook.open(MAX_REVIEW_BYTES + 1, b"")
    assert await status_of(reader) == 413
    writer.close()
    assert await webhook.counted() == {"too_large": 1}


async def test_a_compressed_body_is_refused(webhook: Webhook) -> None:
    """No API server compresses a review, and a small one may be of any size."""
    body = gzip.compress(b" " * 1_000_000)
    reader, writer = await webhook.open(len(body), body, b"Content-Encoding: gzip")
    assert await status_of(reader) == 415
    writer.close()
    assert await webhook.counted() == {"encoded": 1}


async def test_a_review_with_too_many_values_is_refused(webhook: Webhook) -> None:
    """Each costs far more as an object than in JSON."""
    status, found = await webhook.post(b"[" + b"{}," * 40_000 + b"1]")
    assert (status, "values" in str(found["detail"])) == (400, True)


async def test_bodies_that_do_not_come_keep_no_review_out(webhook: Webhook) -> None:
    """The one that has been waited for longest ends for a new one."""
    slow = [await webhook.open(MAX_REVIEW_BYTES, b"{") for _ in range(5)]
    for _ in range(3):
        assert (await webhook.post(_review()))[0] == 200
    assert [await status_of(reader) for reader, _ in slow[:3]] == [503] * 3
    assert await webhook.counted() == {"patched": 3, "crowded_out": 4}
    for _, writer in slow:
        writer.close()


async def test_a_client_that_leaves_in_its_body_leaves_no_traceback(
    webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    """It is counted, and nothing more."""
    _, writer = await webhook.open(100, b"{")
    await asyncio.sleep(0.05)
    writer.transport.abort()
    assert await eventually(webhook.counted, bool) == {"gone": 1}
    assert [each for each in caplog.records if each.exc_info] == []


async def test_what_became_of_reviews_is_counted(webhook: Webhook) -> None:
    """By outcome, on the plain port."""
    await webhook.post(_review())
    await webhook.post(_review(hostNetwork=True))
    await webhook.post(_review(inject="false"))
    await webhook.post(b"{}")
    assert await webhook.counted() == {"patched": 1, "refused": 1, "unchanged": 1, "malformed": 1}


async def test_health_is_there_for_probes(webhook: Webhook) -> None:
    """Over HTTPS, and without TLS on the plain port."""
    async with aiohttp.ClientSession() as session:
        for url in (webhook.url, f"http://127.0.0.1:{webhook.plain}"):
            async with session.get(f"{url}/health", ssl=False) as answer:
                assert answer.status == 200


async def test_the_plain_port_takes_no_review(webhook: Webhook) -> None:
    """What is said there could be read and changed on its way."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{webhook.plain}/mutate", data=_review()) as answer,
    ):
        assert answer.status == 404


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


async def test_a_taken_port_is_told(webhook: Webhook) -> None:
    """It names the address."""
    second = InjectorServer(config(), webhook.certificate)
    with pytest.raises(UserError, match=f"--listen: 127.0.0.1:{webhook.port} is in use"):
        await second.start("127.0.0.1", webhook.port)
    await second.close()


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
