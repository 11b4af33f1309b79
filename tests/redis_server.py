"""A real redis-server, started and ended by a test, on a free port of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, Signals

import pytest

from sidecar.storage import redis_client, redis_holds
from sidecar.storage.redis_attempts import RedisAttempts
from tests.free_ports import free_port

_PATIENCE = 30.0


class RedisServer:
    """One process; `stop` and `start` keep its port, and forget its data."""

    def __init__(self, folder: Path, *words: str, tls: bool = False) -> None:
        self.port = free_port()
        self._folder = folder
        ports = ("--tls-port", str(self.port), "--port", "0") if tls else ("--port", str(self.port))
        self._words = (*ports, "--bind", "127.0.0.1", "--save", "", "--dir", str(folder), *words)
        self._process: asyncio.subprocess.Process | None = None
        self.password = ""

    @property
    def url(self) -> str:
        """Where it listens, without a password."""
        return f"redis://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start it, and wait until it listens."""
        program = shutil.which("redis-server")
        assert program, "redis-server is missing: `make` installs it, or apt install redis-server"
        self._process = await asyncio.create_subprocess_exec(
            program, *self._words, stdout=asyncio.subprocess.DEVNULL
        )
        end = time.monotonic() + _PATIENCE
        while True:
            with contextlib.closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self._process.returncode is None, "redis-server has ended"
            assert time.monotonic() < end, "redis-server does not listen"
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """End it."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(SIGKILL)
            await self._process.wait()

    def send(self, number: Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    @contextlib.contextmanager
    def halted(self) -> Iterator[None]:
        """Let it hold its connections and answer nothing."""
        self.send(SIGSTOP)
        try:
            yield
        finally:
            self.send(SIGCONT)

    async def cli(self, *words: str) -> str:
        """Run redis-cli; return what it prints."""
        program = shutil.which("redis-cli")
        assert program, "redis-cli is missing: apt install redis-tools"
        login = ("-a", self.password, "--no-auth-warning") if self.password else ()
        process = await asyncio.create_subprocess_exec(
            program, "-p", str(self.port), *login, *words, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        return output.decode().strip()


@contextlib.asynccontextmanager
async def redis_server(folder: Path, *words: str, tls: bool = False) -> AsyncIterator[RedisServer]:
    """Run one while the block lasts."""
    server = RedisServer(folder, *words, tls=tls)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def wait_for_redis(patch: pytest.MonkeyPatch) -> None:
    """Let sidecars of this process wait for numbers and holds: without, each counts for itself.

    A busy machine is later than a call would wait, and is not what is tried.
    """
    at = RedisAttempts.at
    patch.setattr(RedisAttempts, "at", lambda url: at(url, timeout=_PATIENCE))
    patch.setattr(redis_holds, "TIMEOUT_SECONDS", _PATIENCE)
    patch.setattr(redis_client, "ANSWER_SECONDS", _PATIENCE)
