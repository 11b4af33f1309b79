"""Connections that are made: over TLS, by name, and to what is not Redis."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.storage import redis_client
from tests.fakes.certificates import loopback_contexts
from tests.redis_server import RedisServer, redis_server
from tests.unit.storage.counting import SCOPE, counting, problem_of


def tls_words(folder: Path) -> tuple[str, ...]:
    """Write what redis-server needs for TLS."""
    pem = str(folder / "loopback.pem")
    files = ("--tls-cert-file", pem, "--tls-key-file", pem, "--tls-ca-cert-file", pem)
    return (*files, "--tls-auth-clients", "optional")


@pytest.fixture
async def tls_server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """Run a Redis over TLS, with a certificate for 127.0.0.1."""
    loopback_contexts(tmp_path)
    async with redis_server(tmp_path, *tls_words(tmp_path), tls=True) as server:
        yield server


async def test_a_redis_over_tls_counts(tls_server: RedisServer, tmp_path: Path) -> None:
    """Its certificate is checked against the file of the URL."""
    pem = tmp_path / "loopback.pem"
    shown = f"ssl_ca_certs={pem}&ssl_certfile={pem}&ssl_keyfile={pem}"
    async with counting(f"rediss://127.0.0.1:{tls_server.port}?{shown}") as attempts:
        assert [await attempts.next(SCOPE) for _ in range(2)] == [0, 1]


async def test_a_certificate_of_an_unknown_authority_is_refused(tls_server: RedisServer) -> None:
    """The system's authorities count where the URL names none."""
    async with counting(f"rediss://127.0.0.1:{tls_server.port}") as attempts:
        assert "its certificate is refused: self" in attempts.problem


@pytest.mark.parametrize(
    ("parameter", "counts"),
    [
        ("", False),
        ("&ssl_check_hostname=true", False),
        ("&ssl_cert_reqs=optional", False),
        ("&ssl_check_hostname=false", True),
        ("&ssl_cert_reqs=none", True),
    ],
)
async def test_a_certificate_of_another_name_is_refused(
    tmp_path: Path, parameter: str, *, counts: bool
) -> None:
    """Unless the URL says that it need not fit."""
    loopback_contexts(tmp_path, "192.0.2.1")
    async with redis_server(tmp_path, *tls_words(tmp_path), tls=True) as server:
        url = f"rediss://127.0.0.1:{server.port}?ssl_ca_certs={tmp_path}/loopback.pem{parameter}"
        async with counting(url) as attempts:
            assert (attempts.problem == "") is counts
            assert ("certificate is refused: IP address mismatch" in attempts.problem) is not counts
            assert (await attempts.next(SCOPE) == 0) is counts


async def test_the_wrong_scheme_is_named_as_what_it_looks_like(
    tls_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Redis without TLS waits for more of what a TLS client says first."""
    async with redis_server(tmp_path) as plain:
        with monkeypatch.context() as short:
            short.setattr(redis_client, "CONNECT_SECONDS", 0.2)
            async with counting(f"rediss://127.0.0.1:{plain.port}") as attempts:
                found = await problem_of(attempts, lambda found: found != "not connected yet")
                assert found.startswith("no connection within ")
        async with counting(f"redis://127.0.0.1:{tls_server.port}") as attempts:
            found = await problem_of(attempts, lambda found: found != "not connected yet")
            assert found in {"it closed the connection", "Connection reset by peer"}


async def test_what_is_not_redis_is_named() -> None:
    """A web server at the port of the URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read(100)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with counting(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}") as attempts:
        found = await problem_of(attempts, lambda found: found != "not connected yet")
        assert found == "what answers there is not Redis"
    server.close()


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("redis://a..b", "its address is not valid"),
        ("redis://no.invalid", "its name does not resolve"),
        ("unix:///nowhere", "No such file or directory"),
    ],
)
async def test_an_address_that_cannot_be_used(url: str, problem: str) -> None:
    """It is tried in the background, again and again."""
    async with counting(url) as attempts:
        assert await problem_of(attempts, lambda found: found != "not connected yet") == problem


async def test_the_next_address_of_a_name_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one refuses."""
    loop = asyncio.get_running_loop()

    async def two(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        at = [("127.0.0.2", port), ("127.0.0.1", port)]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", each) for each in at]

    async with redis_server(tmp_path) as server:
        monkeypatch.setattr(loop, "getaddrinfo", two)
        async with counting(f"redis://cache:{server.port}") as attempts:
            assert await attempts.next(SCOPE) == 0


async def test_a_task_that_loses_a_cancellation_is_ended_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As `asyncio.wait_for` does on Python 3.11: what it waits for is done in that moment."""
    monkeypatch.setattr(redis_client, "_CLOSE_SECONDS", 0.001)
    lost = 0

    async def work() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1
                if lost > 1:
                    raise

    task = asyncio.ensure_future(work())
    await asyncio.sleep(0)
    await redis_client.end(task)
    assert (task.cancelled(), lost) == (True, 2)
