"""Programs as a user starts them: processes with their output by line, ended by their pid."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from signal import SIGKILL, Signals
from typing import Any, Final

from tests.e2e.harness import Orgs, Stack, policy, soon, surroundings

SIDECAR: Final = (sys.executable, "-m", "sidecar")
_KEPT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")


class Program:
    """A process; `out` and `err` are its lines so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.out: list[str] = []
        self.err: list[str] = []
        self._readers = [
            asyncio.ensure_future(_read_lines(process.stdout, self.out)),
            asyncio.ensure_future(_read_lines(process.stderr, self.err)),
        ]

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.returncode is None

    def send(self, number: Signals) -> None:
        """Send a signal to it."""
        self._process.send_signal(number)

    async def ended(self, seconds: float = 120.0) -> int:
        """Wait for its end and the end of its output; return its exit status."""
        async with asyncio.timeout(seconds):
            status = await self._process.wait()
            await asyncio.gather(*self._readers)
        return status

    async def line(self, wanted: Callable[[str], bool], *, err: bool = False) -> str:
        """Wait for a line of its output that is wanted."""
        lines = self.err if err else self.out

        def found() -> list[str]:
            fitting = [line for line in lines if wanted(line)]
            assert fitting or self.running, f"it ended: {self.out} {self.err}"
            return fitting

        return (await soon(found, bool))[0]

    async def close(self) -> None:
        """End it at once, if it has not ended."""
        if self.running:
            self._process.send_signal(SIGKILL)
        await self.ended()


class SidecarProgram(Program):
    """A sidecar as a process of its own, with its log."""

    url = ""
    admin_url = ""

    @property
    def log(self) -> list[dict[str, Any]]:
        """What it has logged; every line of stderr must be JSON."""
        return [json.loads(line) for line in self.err]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log lines of one event."""
        return [line for line in self.log if line["event"] == name]

    async def event(self, name: str) -> dict[str, Any]:
        """Wait for the first log line of an event."""
        line = await self.line(lambda line: json.loads(line)["event"] == name, err=True)
        event: dict[str, Any] = json.loads(line)
        return event


class ProcessStack(Stack):
    """A chain whose sidecar is a process."""

    program: SidecarProgram

    async def restart(self, *, under: Sequence[str] = (), **flags: Any) -> SidecarProgram:
        """Start another sidecar in the same place; the caller ends it."""
        return await start_sidecar(self.place.flags(**flags), self.place.environ, under=under)


async def start(
    *args: str,
    environ: Mapping[str, str] | None = None,
    kind: type[Program] = Program,
    folder: Path | None = None,
) -> Program:
    """Start a process with little of this one's environment, and `environ`, in a folder."""
    inherited = {name: os.environ[name] for name in _KEPT if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *args,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**inherited, **(environ or {})},
        cwd=folder,
        limit=1 << 23,
    )
    return kind(process)


async def run(
    *args: str, environ: Mapping[str, str] | None = None, seconds: float = 120.0
) -> tuple[int, str, str]:
    """Run `bb-sidecar` with these arguments to its end; return status, stdout and stderr."""
    program = await start(*SIDECAR, *args, environ=environ)
    try:
        status = await program.ended(seconds)
    finally:
        await program.close()
    return status, "\n".join(program.out), "\n".join(program.err)


@contextlib.asynccontextmanager
async def running(*args: str, environ: Mapping[str, str] | None = None) -> AsyncIterator[Program]:
    """Run `bb-sidecar` with these arguments while the block lasts."""
    program = await start(*SIDECAR, *args, environ=environ)
    try:
        yield program
    finally:
        await program.close()


async def start_sidecar(
    flags: list[str], environ: Mapping[str, str], *, under: Sequence[str] = ()
) -> SidecarProgram:
    """Start `bb-sidecar run`, by the command `under`, and wait until it has started."""
    program = await start(*under, *SIDECAR, "run", *flags, environ=environ, kind=SidecarProgram)
    assert isinstance(program, SidecarProgram)
    try:
        event = await program.event("started")
    except BaseException:
        await program.close()
        raise
    program.url, program.admin_url = event["listen"], event["admin"]
    return program


@contextlib.asynccontextmanager
async def process_stack(
    *,
    policy: str = policy(),
    orgs: Orgs | None = None,
    environ: Mapping[str, str] | None = None,
    platform_url: str | None = None,
    upstream_url: str | None = None,
    **flags: Any,
) -> AsyncIterator[ProcessStack]:
    """Run a chain as `stack` does, with `python -m sidecar run` as its sidecar."""
    async with contextlib.AsyncExitStack() as owned:
        place, platform, upstream = await owned.enter_async_context(
            surroundings(policy, orgs, environ, platform_url, upstream_url)
        )
        program = await start_sidecar(place.flags(**flags), place.environ)
        owned.push_async_callback(program.close)
        made = ProcessStack(place, platform, upstream, [program])
        made.program = program
        owned.push_async_callback(made.client.aclose)
        yield made


@contextlib.asynccontextmanager
async def redis(folder: Path, password: str) -> AsyncIterator[Path]:
    """Run a Redis of its own, which asks for a password; yield the path of its socket."""
    program = shutil.which("redis-server")
    assert program, "redis-server is not installed: `make` installs it, or apt install redis-server"
    path = folder / "redis.sock"
    words = ("--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(folder))
    server = await start(program, *words, "--requirepass", password)
    try:
        await soon(path.exists, bool)
        yield path
    finally:
        await server.close()


async def _read_lines(stream: asyncio.StreamReader | None, lines: list[str]) -> None:
    assert stream is not None
    while line := await stream.readline():
        lines.append(line.decode().rstrip("\n"))
