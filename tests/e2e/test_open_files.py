"""Few open files: clients take their share and no more, and probes are answered all the while.

The sidecar is a process of its own, under a limit that it cannot raise or that it must.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import pytest

from sidecar.app.open_files import fitted
from sidecar.settings.sections import Limits
from tests.e2e.harness import eventually, policy, surroundings
from tests.e2e.programs import SidecarProgram, start

LIMITED: Final = (
    "import os, resource, sys;"
    "resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])));"
    "os.execv(sys.executable, [sys.executable, '-m', 'sidecar', 'run', *sys.argv[3:]])"
)
CLIENTS: Final = 1100
AT_ONCE: Final = 10
KEPT: Final = httpx.Limits(keepalive_expiry=None)
STREAM: Final = b"GET /api/v1/stream?n=10000&interval_ms=1000 HTTP/1.1\r\nHost: h\r\n\r\n"

linux = pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="Linux alone has prlimit")


@contextlib.asynccontextmanager
async def limited(soft: int, hard: int, **flags: str) -> AsyncIterator[SidecarProgram]:
    """Run a sidecar that may open so many files, and may raise that to `hard`."""
    async with surroundings(policy(), None, None, None, None) as (place, _, _):
        program = await start(
            sys.executable, "-c", LIMITED, str(soft), str(hard), *place.flags(**flags),
            environ=place.environ, kind=SidecarProgram,
        )  # fmt: skip
        assert isinstance(program, SidecarProgram)
        try:
            event = await program.event("started")
            program.url, program.admin_url = event["listen"], event["admin"]
            yield program
        finally:
            await program.close()


@contextlib.asynccontextmanager
async def crowd(url: str, count: int, said: bytes = b"") -> AsyncIterator[None]:
    """Connect so many clients that say so much and then nothing."""
    where = urlsplit(url)
    loop = asyncio.get_running_loop()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8 * count)), hard))

    async def connect(client: socket.socket) -> None:
        client.setblocking(False)
        await loop.sock_connect(client, (where.hostname or "", where.port or 0))
        with contextlib.suppress(OSError):  # turned away already
            await loop.sock_sendall(client, said)

    try:
        with contextlib.ExitStack() as owned:
            clients = [owned.enter_context(socket.socket()) for _ in range(count)]
            for some in batched(clients, AT_ONCE):
                await asyncio.gather(*map(connect, some))
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def batched(clients: list[socket.socket], size: int) -> Iterator[list[socket.socket]]:
    """Give them some at a time."""
    for start_at in range(0, len(clients), size):
        yield clients[start_at : start_at + size]


@linux
@pytest.mark.parametrize("said", [b"", STREAM], ids=["idle", "streams"])
@pytest.mark.parametrize("limit", [256, 1024])
async def test_clients_take_no_descriptor_that_others_need(limit: int, said: bytes) -> None:
    """Probes, and free calls of a client that is connected, are answered; a new client gets 503."""

    async def free() -> int:
        async with httpx.AsyncClient() as new:
            return (await new.get(f"{sidecar.url}/health")).status_code

    # Clients that say nothing are not closed before a busy machine has looked at them.
    async with limited(limit, limit, head_timeout="300s") as sidecar, _kept() as kept:
        assert (await kept.get(f"{sidecar.url}/health")).status_code == 200
        async with crowd(sidecar.url, CLIENTS, said):
            await eventually(free, lambda status: status == 503)
            for _ in range(20):
                async with httpx.AsyncClient() as new:
                    probe = await new.get(f"{sidecar.admin_url}/health")
                    assert probe.status_code == 200
                    assert (await kept.get(f"{sidecar.url}/health")).status_code == 200
                    refused = await new.get(f"{sidecar.url}/health")
                    assert refused.status_code == 503
            assert _open_files(sidecar.pid) < limit
        (warning,) = sidecar.events("open_files_short")
        assert warning["setting"] == "--max-connections"
        assert warning["open_files_limit"] == limit
        assert warning["in_force"] == fitted(Limits(), limit).limits.max_connections
        assert "hard limit" in warning["hint"]
        await eventually(free, lambda status: status == 200)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_the_soft_limit_is_raised(workers: str) -> None:
    """A shell's 256 is no bound where the system allows more; workers inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with limited(256, hard, workers=workers, max_connections="600") as sidecar:
        async with crowd(sidecar.url, 500), httpx.AsyncClient() as new:
            assert (await new.get(f"{sidecar.url}/health")).status_code == 200
            assert (await new.get(f"{sidecar.admin_url}/health")).status_code == 200
        assert sidecar.events("open_files_short") == []


@linux
async def test_settings_that_fit_are_not_lowered() -> None:
    """And nothing is said of them."""
    async with limited(1024, 1024, max_connections="300", upstream_connections="64") as sidecar:
        assert sidecar.events("open_files_short") == []


@linux
async def test_without_a_descriptor_the_listeners_wait_and_go_on() -> None:
    """An accept that fails ends neither port."""
    async with limited(1024, 1024) as sidecar:
        used = (_open_files(sidecar.pid), 1024)
        resource.prlimit(sidecar.pid, resource.RLIMIT_NOFILE, used)  # type: ignore[attr-defined, unused-ignore]
        async with crowd(sidecar.url, AT_ONCE), crowd(sidecar.admin_url, AT_ONCE):
            await asyncio.sleep(0.5)
        resource.prlimit(sidecar.pid, resource.RLIMIT_NOFILE, (1024, 1024))  # type: ignore[attr-defined, unused-ignore]

        async def both() -> set[int]:
            async with httpx.AsyncClient() as new:
                with contextlib.suppress(httpx.TransportError):
                    urls = (f"{sidecar.url}/health", f"{sidecar.admin_url}/health")
                    return {(await new.get(url)).status_code for url in urls}
            return set()

        await eventually(both, lambda statuses: statuses == {200})


def _kept() -> httpx.AsyncClient:
    return httpx.AsyncClient(limits=KEPT)


def _open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
