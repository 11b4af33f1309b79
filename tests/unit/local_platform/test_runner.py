"""The platform as a process: what it tells, how it ends, what a kill leaves."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from sidecar.domain.errors import UserError
from sidecar.local_platform import run_platform
from sidecar.local_platform.runner import introduction
from tests.unit.local_platform import acme

SEED = """\
products: [{slug: acme-notes, key: bbas_dev_acme_notes}]
orgs:
  - {id: org_acme, apps: [acme-notes], quotas: {ai_calls: 1000}, keys: [{key: bbk_dev_acme}]}
"""

PROGRAM = """\
import asyncio, pathlib, sys
from sidecar.local_platform import run_platform
db, seed = map(pathlib.Path, sys.argv[1:])
asyncio.run(run_platform(port=0, db=db, seed=seed))
"""


class Process:
    """A platform in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.url = url

    async def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        # To the end of stdout as well, so that its pipe is closed with the process.
        await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode


async def start(directory: Path) -> Process:
    """Start a platform on a database in `directory`, and wait for its first line."""
    seed = directory / "seed.yaml"
    seed.write_text(SEED)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        directory / "platform.db",
        seed,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    first = (await process.stdout.readline()).decode()
    return Process(process, first.split()[2])


async def test_a_kill_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    """SIGKILL under load, start again: every answered consume is counted, none twice."""
    running = await start(tmp_path)
    answered: set[str] = set()
    busy = asyncio.Event()

    async with aiohttp.ClientSession() as session:

        async def consume_on_and_on(name: str) -> None:
            caller = acme.Caller(session, running.url)
            for number in range(10_000):
                try:
                    status, _ = await caller.consume(idempotency_key=f"{name}-{number}")
                except aiohttp.ClientError:
                    return
                assert status == 200
                answered.add(f"{name}-{number}")
                if len(answered) == 200:
                    busy.set()

        load = [asyncio.create_task(consume_on_and_on(f"c{number}")) for number in range(8)]
        await busy.wait()
        await running.end(signal.SIGKILL)
        await asyncio.gather(*load)

        again = await start(tmp_path)
        caller = acme.Caller(session, again.url)
        _, counted = await caller.control("GET", "/consumes")
        _, status = await caller.read("/v1/quota/status")
    keys = [consume["key"] for consume in counted]
    assert await again.end(signal.SIGTERM) == 0
    assert answered <= set(keys)
    assert len(keys) == len(set(keys)) == status["quotas"]["ai_calls"]["used"]


async def test_sigint_ends_it_in_good_order(tmp_path: Path) -> None:
    """Exit status 0, as for SIGTERM."""
    running = await start(tmp_path)

    assert await running.end(signal.SIGINT) == 0


async def test_a_bad_seed_is_told_before_anything_starts(tmp_path: Path) -> None:
    """A UserError with file and line."""
    seed = tmp_path / "seed.yaml"
    seed.write_text("products: []\n")

    with pytest.raises(UserError, match=r"seed\.yaml:1:11: products"):
        await run_platform(port=0, seed=seed)


def test_the_introduction_has_place_keys_and_lines_to_paste() -> None:
    """All that a developer pastes."""
    told = "\n".join(introduction("http://127.0.0.1:8092", acme.seed(), None))

    assert "in a browser    http://127.0.0.1:8092/ " in told
    assert "in memory" in told
    assert acme.NOTES_KEY in told
    assert acme.API_KEY in told
    assert f"{acme.BOUND_KEY}  (read+write, as acme-notes only)" in told
    assert "export PLATFORM_API_URL=http://127.0.0.1:8092 AUTH_SERVICE_URL=http://127" in told
    assert f"export PLATFORM_INTERNAL_KEY={acme.NOTES_KEY} PRODUCT_SLUG=acme-notes" in told
    assert "bb-sidecar init policy.yaml" in told
    assert "curl -s http://127.0.0.1:8092/v1/quota/consume" in told


def test_without_a_seed_it_says_where_the_keys_are() -> None:
    """Only digests are stored, so an old database cannot tell them."""
    told = "\n".join(introduction("http://127.0.0.1:8092", None, Path("p.db")))

    assert "--seed FILE" in told
    assert "p.db" in told
