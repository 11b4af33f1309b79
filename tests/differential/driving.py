"""Drive a product through a real sidecar, and compare the handlers that ran with what was paid."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import httpx

from tests.differential.catalogue import DENIED, METERED, NODE_MODULES, POLICY, ROOT, Product
from tests.differential.probes import Probe, probes
from tests.differential.wire import Connection
from tests.e2e.harness import ORG, Stack
from tests.e2e.programs import process_stack

_CONNECTIONS: Final = 4
_START: Final = 30.0
Chain = Callable[..., contextlib.AbstractAsyncContextManager[Stack]]


@dataclass
class Report:
    """What came of a product's probes; `findings` are the calls that went wrong."""

    product: str
    probes: int = 0
    charged: int = 0
    ran: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    unanswered: int = 0
    findings: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return a line for a terminal."""
        metered = sum(self.ran[name] for name in METERED)
        return (
            f"{self.product}: {self.probes} probes, {self.charged} charged, {metered} metered and "
            f"{self.ran.total() - metered} free handlers run, {self.refused} refused as unsafe, "
            f"{self.unanswered} without an answer, {len(self.findings)} wrong"
        )


async def drive(product: Product, seed: str, count: int, chain: Chain = process_stack) -> Report:
    """Run a product behind a sidecar, send it `count` probes, and compare the books.

    `chain` makes the sidecar: a process of its own, or in this one, which starts sooner.
    """
    report = Report(product.name)
    async with _running(product) as url:
        async with chain(policy=POLICY, orgs={ORG: 10**9}, upstream_url=url) as s:
            token = s.token(ttl=7200)
            left = probes(seed, count)
            await asyncio.gather(*(_send(s.url, token, left, report) for _ in range(_CONNECTIONS)))
            platform = s.charges()
        async with httpx.AsyncClient() as client:
            report.ran.update(json.loads((await client.get(f"{url}/ran")).text))
    _balance(report, platform)
    return report


async def _send(url: str, token: str, left: Iterator[Probe], report: Report) -> None:
    connection = Connection(url)
    for probe in left:
        report.probes += 1
        try:
            answer = await connection.ask(probe.wire(token))
        except (ConnectionError, EOFError, TimeoutError):
            report.unanswered += 1
            connection.close()
            continue
        charged = "ratelimit" in answer.fields
        report.charged += charged
        report.refused += answer.status == 400 and "x-ran" not in answer.fields
        ran = answer.fields.get("x-ran", "")
        if ran in DENIED or (ran in METERED and not charged):
            report.findings.append(f"{probe} ran `{ran}` {'charged' if charged else 'uncharged'}")
    connection.close()


def _balance(report: Report, platform: int) -> None:
    """Compare the product's own counters with the platform's: no answer has to be believed."""
    metered = sum(report.ran[name] for name in METERED)
    if metered > platform:
        report.findings.append(f"{metered} metered handlers ran, {platform} were charged")
    if report.charged > platform:
        report.findings.append(f"{report.charged} answers say charged, the platform {platform}")
    for name in DENIED:
        if report.ran[name]:
            report.findings.append(f"the denied handler `{name}` ran {report.ran[name]} times")


@contextlib.asynccontextmanager
async def _running(product: Product) -> AsyncIterator[str]:
    """Start a product on a free port; yield its URL once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {
        "NODE_PATH": str(NODE_MODULES),
        "PYTHONPATH": str(ROOT),
        "PATH": os.environ["PATH"],
        "NODE_NO_WARNINGS": "1",
    }
    with tempfile.TemporaryFile() as said:
        # A session of its own: some servers have workers, which must end with them.
        process = await asyncio.create_subprocess_exec(
            *product.at(port), env=environ, stdout=said, stderr=said, start_new_session=True
        )
        try:
            await _until_it_answers(process, f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
        except _EndedError:
            said.seek(0)
            words = said.read().decode(errors="replace")
            raise AssertionError(f"{product.name} does not start: {words}") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


class _EndedError(Exception):
    """A product does not answer."""


async def _until_it_answers(process: asyncio.subprocess.Process, url: str) -> None:
    until = time.monotonic() + _START
    async with httpx.AsyncClient() as client:
        while process.returncode is None and time.monotonic() < until:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(f"{url}/ran")).status_code == 200:
                    return
            await asyncio.sleep(0.05)
    raise _EndedError
