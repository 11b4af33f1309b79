"""Prometheus and Alertmanager as processes of this test, on free ports, ended by their pid."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any, Final

import httpx
import yaml
from aiohttp import web

from tests.free_ports import free_port

SCRAPE: Final = "250ms"
EVALUATE: Final = "500ms"
_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Pod:
    """A sidecar to scrape: its admin address, and the name it is known by."""

    name: str
    admin: str  # host:port
    job: str = "acme-notes"


def program(*names: str) -> str:
    """Return where the first of these programs is; AssertionError with the fix when none is."""
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    raise AssertionError(f"{names[0]} is not installed; run make packages")


def promtool(*words: str, given: str = "") -> str:
    """Run promtool with `given` as its input; AssertionError with its words when it complains."""
    ran = subprocess.run(  # noqa: S603 - a fixed program, words of our own
        [program("promtool"), *words],
        input=given,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


class Prometheus:
    """Ask a Prometheus."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.AsyncClient(base_url=url, timeout=20.0)

    async def ask(self, path: str, **wanted: str | float) -> Any:
        """Return the `data` of an API answer; AssertionError with its words when it is an error."""
        answer = await self._client.get(f"/api/v1/{path}", params=wanted)
        body = answer.json()
        assert body["status"] == "success", f"{wanted}: {body.get('error')}"
        return body["data"]

    async def over(
        self, expr: str, start: float, end: float, step: float
    ) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        """Return the series of an expression over time: labels, and points that are numbers."""
        data = await self.ask("query_range", query=expr, start=start, end=end, step=step)
        return [(series["metric"], _numbers(series["values"])) for series in data["result"]]

    async def at(self, expr: str, when: float) -> list[tuple[dict[str, str], float]]:
        """Return the series of an expression at one time."""
        data = await self.ask("query", query=expr, time=when)
        return [(each["metric"], float(each["value"][1])) for each in data["result"]]

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


class Receiver:
    """What an Alertmanager's webhook delivers, as a team's chat would get it."""

    def __init__(self) -> None:
        self.alerts: list[dict[str, Any]] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        """Take one notification."""
        self.alerts += (await request.json())["alerts"]
        return web.Response()


@contextlib.asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """Run a webhook receiver."""
    taking = Receiver()
    app = web.Application()
    app.router.add_post("/", taking.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        taking.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        yield taking
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def alertmanager(folder: Path, webhook: str) -> AsyncIterator[str]:
    """Run an Alertmanager that hands every alert to `webhook` at once; yield host:port."""
    config = _write(
        folder / "alertmanager.yml",
        {
            "route": {
                "receiver": "team",
                "group_by": ["alertname"],
                "group_wait": "100ms",
                "group_interval": "1s",
            },
            "receivers": [{"name": "team", "webhook_configs": [{"url": webhook}]}],
        },
    )
    command = [
        program("prometheus-alertmanager", "alertmanager"),
        f"--config.file={config}",
        f"--storage.path={folder / 'alertmanager'}",
        "--cluster.listen-address=",  # alone: no gossip port
        "--log.level=error",
    ]
    async with _running(command, "/-/ready") as address:
        yield address


@contextlib.asynccontextmanager
async def prometheus(
    folder: Path,
    pods: Sequence[Pod],
    rules: Sequence[Path],
    alertmanagers: Sequence[str],
    *,
    lookback: str = "3s",
) -> AsyncIterator[Prometheus]:
    """Run a Prometheus that scrapes these pods as it would in a cluster, often.

    `lookback` is how old a sample may be to count: of twelve scrapes unless said otherwise.
    """
    config = _write(
        folder / "prometheus.yml",
        {
            "global": {
                "scrape_interval": SCRAPE,
                "scrape_timeout": SCRAPE,
                "evaluation_interval": EVALUATE,
            },
            "rule_files": [str(path) for path in rules],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [*alertmanagers]}]}]},
            "scrape_configs": [
                {
                    "job_name": job,
                    "static_configs": [
                        {
                            "targets": [pod.admin],
                            "labels": {"cluster": "east", "namespace": "acme", "pod": pod.name},
                        }
                        for pod in pods
                        if pod.job == job
                    ],
                }
                for job in sorted({pod.job for pod in pods})
            ],
        },
    )
    command = [
        program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--query.lookback-delta={lookback}",
        "--log.level=error",
    ]
    async with _running(command, "/-/ready") as address:
        asked = Prometheus(f"http://{address}")
        try:
            yield asked
        finally:
            await asked.close()


@contextlib.asynccontextmanager
async def _running(command: Sequence[str], ready: str) -> AsyncIterator[str]:
    """Run a server until the end of the block; yield its host:port once it is ready."""
    process, address = await _started(command, ready)
    try:
        yield address
    finally:
        await _end(process)


async def _started(command: Sequence[str], ready: str) -> tuple[asyncio.subprocess.Process, str]:
    """Start a server on a free port; try again where another program took the port."""
    for _ in range(_TRIES):
        address = f"127.0.0.1:{free_port()}"
        process = await asyncio.create_subprocess_exec(
            *command,
            f"--web.listen-address={address}",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        if await _becomes_ready(process, f"http://{address}{ready}"):
            return process, address
        await _end(process)
    raise AssertionError(f"{command[0]} does not start; by hand: {' '.join(command)}")


async def _becomes_ready(process: asyncio.subprocess.Process, url: str) -> bool:
    async with httpx.AsyncClient() as client:
        for _ in range(300):
            if process.returncode is not None:
                return False
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(url)).status_code == 200:
                    return True
            await asyncio.sleep(0.05)
    return False


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(SIGTERM)
        try:
            async with asyncio.timeout(5.0):
                await process.wait()
        except TimeoutError:
            process.send_signal(SIGKILL)
    await process.wait()


def _write(path: Path, config: Mapping[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(dict(config)), encoding="utf-8")
    return path


def _numbers(values: Sequence[tuple[float, str]]) -> list[tuple[float, float]]:
    points = ((when, float(value)) for when, value in values)
    return [(when, value) for when, value in points if value == value]  # noqa: PLR0124 - not NaN
