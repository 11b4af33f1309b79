"""The journal as a user's disk and restarts treat it (conformance 53): executed = charged."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from signal import SIGKILL, SIGTERM

import httpx
import pytest

from tests.e2e.harness import CHAT, ORG, Page, eventually, policy, scrape, soon
from tests.e2e.programs import ProcessStack, SidecarProgram, process_stack

DISK_BYTES = 64 * 1024
OPEN = policy(defaults={"fail_open_budget": {"units": 10**6, "seconds": 900}})


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[tuple[Path, Sequence[str]]]:
    """Yield a folder with little room, and the command to run a program by that feels it.

    It is a file system of its own where this user may mount one. Elsewhere the kernel refuses the
    program each write beyond the limit, which fails in the same way.
    """
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", str(folder)]
    if os.geteuid() == 0 and subprocess.run(mount, check=False).returncode == 0:  # noqa: S603
        try:
            yield folder, ()
        finally:
            subprocess.run(["umount", str(folder)], check=True)  # noqa: S603, S607
    else:
        yield folder, ("prlimit", f"--fsize={DISK_BYTES}")


async def calls(s: ProcessStack, program: SidecarProgram, until: int) -> list[int]:
    """Call until `until` calls in a row were refused, each on a connection of its own."""
    statuses: list[int] = []
    async with httpx.AsyncClient(
        base_url=program.url, limits=httpx.Limits(max_keepalive_connections=0), timeout=20.0
    ) as client:
        while statuses[-until:] != [503] * until:
            answer = await client.post(CHAT, json={}, headers=s.cookie())
            statuses.append(answer.status_code)
    return statuses


async def count(s: ProcessStack, program: SidecarProgram, calls: int) -> None:
    """Make calls that all pass, each on a connection of its own, so that all workers get some."""
    async with httpx.AsyncClient(
        base_url=program.url, limits=httpx.Limits(max_keepalive_connections=0), timeout=20.0
    ) as client:
        for _ in range(calls):
            answer = await client.post(CHAT, json={}, headers=s.cookie())
            assert answer.headers["x-quota-decision"] == "fail_open"


async def reported(program: SidecarProgram) -> Page:
    """Wait until the sidecar's journals owe nothing."""

    async def page() -> Page:
        return await scrape(program.admin_url)

    return await eventually(page, lambda page: not page.sum("journal_pending_units"), seconds=60.0)


async def journal_detail(program: SidecarProgram) -> str:
    """Return what /ready says of the journal."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{program.admin_url}/ready")
        return str(answer.json()["dependencies"]["journal"]["detail"])


@contextlib.asynccontextmanager
async def ended(program: SidecarProgram) -> AsyncIterator[SidecarProgram]:
    """End the program with the block, also where the block fails."""
    try:
        yield program
    finally:
        await program.close()


async def test_a_journal_that_fills_its_disk_is_reported_whole(tmp_path: Path) -> None:
    """What could be journalled is executed and charged; the rest was refused. Also over a kill.

    The journal of version 1 needed room for its marks: 2 of 412 executed calls were charged.
    """
    async with process_stack(policy=OPEN, orgs={ORG: 10**6}) as s:
        with small_disk(tmp_path) as (folder, under):
            await s.program.close()
            await s.fault(status=500)
            first = await s.restart(journal=folder / "journal", under=under)
            async with ended(first):
                statuses = await calls(s, first, until=5)
                executed = statuses.count(200)
                assert executed > 100
                assert s.executions() == executed
                assert "free space" in await journal_detail(first)
                page = await scrape(first.admin_url)
                assert page.sum("journal_unwritable") == 1
                assert page.sum("journal_pending_units") == executed
                first.send(SIGKILL)
                await first.ended()
            second = await s.restart(journal=folder / "journal", under=under)
            async with ended(second):
                assert "free space" in (await second.event("journal_unwritable"))["why"]
                assert await calls(s, second, until=2) == [503] * 2
                async with httpx.AsyncClient(base_url=second.url) as client:
                    assert (await client.get("/health")).status_code == 200
                await s.fault()
                await reported(second)
                assert s.charges() == s.executions() == executed
                await s.fault(status=500)
                await count(s, second, 20)  # its room is used again
                await s.fault()
                await reported(second)
                assert s.charges() == s.executions() == executed + 20
                second.send(SIGTERM)
                assert await second.ended() == 0


@pytest.mark.parametrize("before", ["unused", "used"])
async def test_a_disk_without_room_at_the_start_ends_no_sidecar(
    tmp_path: Path, before: str
) -> None:
    """Unmetered routes work, what needs the journal is refused, and it is reported."""
    async with process_stack(policy=OPEN, orgs={ORG: 10**6}) as s:
        await s.program.close()
        await s.fault(status=500)
        journal = tmp_path / "journal"
        executed = 0
        if before == "used":
            async with ended(await s.restart(journal=journal)) as program:
                executed = 12
                await count(s, program, executed)
                program.send(SIGKILL)
                await program.ended()
        size = journal.stat().st_size if journal.exists() else 0
        under = ("prlimit", f"--fsize={size}")
        async with ended(await s.restart(journal=journal, under=under)) as program:
            await program.event("journal_unwritable")
            assert await calls(s, program, until=2) == [503] * 2
            async with httpx.AsyncClient(base_url=program.url) as client:
                assert (await client.get("/health")).status_code == 200
            assert "no call can fail open" in await journal_detail(program)
            await s.fault()
            await reported(program)
            assert s.charges() == s.executions() == executed


async def test_fewer_workers_report_what_more_have_left(tmp_path: Path) -> None:
    """`--workers 3`, killed in an outage, then one: journals of the others were left unreported."""
    async with process_stack(policy=OPEN, orgs={ORG: 10**6}) as s:
        await s.program.close()
        await s.fault(status=500)
        journal = tmp_path / "journal"
        async with ended(await s.restart(journal=journal, workers=3)) as program:
            await count(s, program, 40)
            program.send(SIGTERM)
            assert await program.ended(30.0) == 0
        assert names(tmp_path) == ["journal", "journal.1", "journal.2"]
        await s.fault()
        async with ended(await s.restart(journal=journal)) as program:
            await reported(program)
            assert s.charges() == s.executions() == 40
            assert names(tmp_path) == ["journal"]


async def test_what_a_worker_leaves_that_cannot_be_replaced_is_reported(tmp_path: Path) -> None:
    """Another worker takes it over while the sidecar runs."""
    async with process_stack(policy=OPEN, orgs={ORG: 10**6}) as s:
        await s.program.close()
        await s.fault(status=500)
        journal = tmp_path / "journal"
        async with ended(await s.restart(journal=journal, workers=2)) as program:
            await count(s, program, 40)
            second = _second_worker(program.pid, tmp_path / "journal.1")
            (tmp_path / "journal.1").rename(tmp_path / "journal.2")
            (tmp_path / "journal.1").mkdir()  # no worker can start on this
            os.kill(second, SIGKILL)
            await program.event("worker_not_started")
            await s.fault()
            await soon(s.charges, lambda units: units == 40, seconds=30.0)
            assert s.executions() == 40


def names(folder: Path) -> list[str]:
    """List what is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def _second_worker(parent: int, journal: Path) -> int:
    """Return the child of `parent` that holds the journal."""
    for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        if journal in [each.resolve() for each in Path(f"/proc/{pid}/fd").iterdir()]:
            return int(pid)
    raise AssertionError("no worker holds it")
