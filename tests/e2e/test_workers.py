"""`--workers 2` from outside: what scrapers and probes see, whatever a worker does."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM
from typing import Any

import httpx
from prometheus_client import ProcessCollector

from tests.e2e.harness import ORG, Page, Stack, eventually, scrape, soon
from tests.e2e.programs import ProcessStack, SidecarProgram, process_stack

WORKERS = 2
PATHS = ("/health", "/ready", "/metrics", "/policy", "/quota")


@contextlib.asynccontextmanager
async def supervised(**flags: Any) -> AsyncIterator[ProcessStack]:
    """Run a chain whose sidecar has two workers."""
    async with process_stack(workers=WORKERS, orgs={ORG: -1}, **flags) as s:
        yield s


def workers_of(program: SidecarProgram) -> list[int]:
    """Return the pids of the workers."""
    pid = program.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [int(child) for child in children]


def figures_of(pid: int) -> dict[str, float]:
    """Return what the library tells of one process."""
    families = ProcessCollector(pid=lambda: pid, registry=None).collect()
    return {sample.name: sample.value for family in families for sample in family.samples}


async def calls(s: Stack, count: int) -> None:
    """Call `count` times, each on a connection of its own, so that every worker has its share."""
    async with httpx.AsyncClient(
        base_url=s.url, limits=httpx.Limits(max_keepalive_connections=0)
    ) as client:
        for _ in range(count):
            await client.post("/api/v1/chat", json={}, headers=s.cookie())


async def replaced(program: SidecarProgram, old: int) -> None:
    """Wait until there is another worker in the place of one that ended, and it serves."""
    started = len(program.events("worker_started"))
    await soon(lambda: len(program.events("worker_started")), lambda count: count > started)
    assert old not in workers_of(program)


class Scraper:
    """Scrapes again and again, as Prometheus does; a counter that falls is an error."""

    def __init__(self, admin: str) -> None:
        self._admin = admin
        self._last: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        self.page = Page("")

    async def look(self) -> None:
        """Scrape once, and compare."""
        self.page = page = await scrape(self._admin)
        found = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for sample in page.samples
            if sample.name.endswith(("_total", "_bucket", "_count", "_sum"))
            and not sample.name.startswith("python_")
        }
        for series, value in self._last.items():
            assert found.get(series, -1.0) >= value, series
        self._last = found

    async def requests(self) -> float:
        """Scrape, and return how many requests were counted."""
        await self.look()
        return self.page.sum("requests_total")

    @contextlib.asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Scrape while the block lasts; what was wrong is raised at its end."""
        ended = asyncio.Event()

        async def go_on() -> None:
            while not ended.is_set():
                await self.look()

        looking = asyncio.create_task(go_on())
        try:
            yield
        finally:
            ended.set()
            await looking


async def test_counters_never_go_backwards() -> None:
    """Workers stopped, going on, killed, replaced and drained (conformance 54)."""
    async with supervised() as s:
        scraper = Scraper(s.admin)
        first, second = workers_of(s.program)
        await calls(s, 20)
        await scraper.look()
        assert scraper.page.sum("requests_total") == 20
        async with scraper.going_on():
            os.kill(first, SIGSTOP)
            for _ in range(3):
                await scraper.look()
            assert scraper.page.sum("requests_total") == 20
            os.kill(first, SIGCONT)
            await calls(s, 10)
        # What a worker has counted since the last scrape goes with it.
        await eventually(scraper.requests, lambda requests: requests == 30)
        async with scraper.going_on():
            os.kill(second, SIGKILL)
            await replaced(s.program, second)
            await calls(s, 10)
        await scraper.look()
        assert scraper.page.sum("requests_total") == 40
        async with scraper.going_on():
            await s.client.post(f"{s.admin}/drain")
            await calls(s, 10)
        await scraper.look()
        assert scraper.page.sum("requests_total") == 50
        assert scraper.page.sum("requests_total", reason="draining") == 10


async def test_counters_stay_while_workers_end_one_after_the_other() -> None:
    """In a drain, until the last: also what a worker counted just before its end."""
    async with supervised(drain_seconds=20) as s:
        scraper = Scraper(s.admin)
        await calls(s, 20)
        path = "/api/v1/stream?n=1000&interval_ms=50"
        async with s.client.stream("GET", path, headers=s.cookie()) as answer:
            lines = answer.aiter_lines()
            await anext(lines)
            await scraper.look()
            s.program.send(SIGTERM)
            await soon(lambda: len(workers_of(s.program)), lambda count: count == 1)
            await scraper.look()
            assert scraper.page.sum("requests_total") == 20
            assert scraper.page.sum("units_total") == 21
            ready = await s.client.get(f"{s.admin}/ready")
            assert ready.status_code == 503
            checks = ready.json()["dependencies"]
            assert [name for name, check in checks.items() if not check["ok"]] == ["drain"]
            assert "shutting down" in checks["drain"]["detail"]
            assert (await s.client.get(f"{s.admin}/health")).status_code == 200
        assert await s.program.ended() == 0


async def test_every_path_answers_while_a_worker_is_gone() -> None:
    """Never a 5xx; readiness names the worker, and the other one serves."""
    async with supervised() as s:
        [gone, _] = workers_of(s.program)
        seen: set[str] = set()
        os.kill(gone, SIGKILL)

        async def ask() -> bool:
            for path in PATHS:
                answer = await s.client.get(f"{s.admin}{path}")
                assert answer.status_code == 200, (path, answer.text)
                if path == "/ready":
                    seen.add(answer.json()["dependencies"]["workers"]["detail"])
            return len(workers_of(s.program)) == WORKERS and "2 of 2 serve" in seen

        await eventually(ask, bool)
        assert any("worker 0 is gone since" in text and "status -9" in text for text in seen), seen


async def test_health_waits_for_no_worker_and_stuck_ones_are_unready() -> None:
    """A probe is answered while a scrape still waits for workers that are stopped."""
    async with supervised() as s:
        pids = workers_of(s.program)
        for pid in pids:
            os.kill(pid, SIGSTOP)
        waiting = asyncio.create_task(s.client.get(f"{s.admin}/metrics"))
        health = await s.client.get(f"{s.admin}/health")
        assert (health.status_code, waiting.done()) == (200, False)
        assert (await waiting).status_code == 200
        ready = await s.client.get(f"{s.admin}/ready")
        detail = ready.json()["dependencies"]["workers"]["detail"]
        assert ready.status_code == 503
        assert "0 of 2 serve" in detail
        assert "worker 1 has not answered since" in detail
        drained = await s.client.post(f"{s.admin}/drain")
        assert (drained.status_code, drained.json()) == (202, {"draining": True})
        for pid in pids:
            os.kill(pid, SIGCONT)

        async def refused() -> int:
            return (await s.call(headers={"Connection": "close"})).status_code

        await eventually(refused, lambda status: status == 503)


async def test_a_worker_that_cannot_come_back_takes_nothing_with_it(tmp_path: Path) -> None:
    """Its journal's lock is held: the other one is alive, serves, and is drained when asked."""
    async with supervised(journal=tmp_path / "journal") as s:
        [_, gone] = workers_of(s.program)
        os.kill(gone, SIGKILL)
        with (tmp_path / "journal.1").open("rb+") as held:

            def locked() -> bool:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return True
                return False

            await soon(locked, bool)
            why = (await s.program.event("worker_not_started"))["why"]
            ready = await s.client.get(f"{s.admin}/ready")
            assert ready.status_code == 200
            detail = ready.json()["dependencies"]["workers"]["detail"]
            assert "1 of 2 serve; worker 1 is gone since" in detail
            assert f"it cannot be replaced: {why}" in detail
            assert (await s.client.get(f"{s.admin}/health")).status_code == 200
            once = {"Connection": "close"}  # a drain closes what is kept, maybe as a call begins
            assert (await s.call(headers=once)).status_code == 200
            assert (await s.client.post(f"{s.admin}/drain")).status_code == 202

            async def refusal() -> str | None:
                try:
                    answer: dict[str, str] = (await s.call(headers=once)).json()
                except httpx.TransportError:  # the drain reached the worker as the call began
                    return None
                return answer.get("reason")

            await eventually(refusal, lambda reason: reason == "draining")
            for _ in range(3):
                assert await refusal() == "draining"
            s.program.send(SIGTERM)
            assert await s.program.ended() == 0


async def test_the_figures_of_all_processes_add_up() -> None:
    """Memory and descriptors of the parent and its workers; the start is the parent's."""
    async with supervised() as s:
        values = {sample.name: sample.value for sample in (await scrape(s.admin)).samples}
        pids = [s.program.pid, *workers_of(s.program)]
        alone = [figures_of(pid) for pid in pids]
        for name in ("process_open_fds", "process_resident_memory_bytes"):
            each = [figures[name] for figures in alone]
            assert values[name] > sum(each) - min(each)  # they change a little in between
        start = "process_start_time_seconds"
        assert values[start] == alone[0][start] < alone[1][start]


async def test_changes_are_taken_on_a_socket_of_its_own(tmp_path: Path) -> None:
    """With the port for scrapers beside it; `bb-sidecar drain` finds the socket by its variable."""
    path = tmp_path / "admin.sock"
    async with supervised(admin_socket=path, metrics="127.0.0.1:0") as s:
        started = s.program.events("started")[0]
        for path_of_probe in ("/metrics", "/health", "/ready"):
            answer = await s.client.get(f"{started['metrics']}{path_of_probe}")
            assert answer.status_code == 200
        assert (await s.client.post(f"{started['metrics']}/drain")).status_code == 404
        assert (await s.client.post(f"{s.admin}/drain")).status_code == 403
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(transport=transport) as client:
            assert (await client.post("http://sidecar/drain")).status_code == 202

        async def refused() -> bool:
            try:
                return (await s.call(headers={"Connection": "close"})).status_code == 503
            except httpx.TransportError:  # the drain reached the worker as the call began
                return False

        await eventually(refused, bool)
        s.program.send(SIGTERM)
        assert await s.program.ended() == 0
        assert not path.exists()
