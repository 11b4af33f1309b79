"""Calls on their way through real servers: streams, failures, clients that leave."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.doors.serving import SERVERS, Served, command, environ_of, served
from tests.e2e.harness import ORG, Page, eventually, policy, soon, surroundings
from tests.e2e.programs import start
from tests.free_ports import free_port

FAILS: dict[str, object] = {"status": 500, "error_rate": 1.0}


async def fault(s: Served, **faults: object) -> None:
    """Replace the platform's faults."""
    async with httpx.AsyncClient(base_url=s.platform.url) as client:
        (await client.put("/_control/faults", json=faults)).raise_for_status()


async def pids(s: Served) -> set[int]:
    """Return the processes that answer some calls."""
    answers = await asyncio.gather(*(s.call("/free", "GET", None) for _ in range(10)))
    return {answer.json()["pid"] for answer in answers}


async def reason_of_next(s: Served) -> str:
    """Send one more call; return why it is allowed."""
    found: str = (await s.call()).json()["reason"]
    return found


@pytest.mark.parametrize("server", SERVERS)
async def test_a_stream_passes_as_it_comes(server: str) -> None:
    """The second event is sent only after the client has seen the first."""
    async with (
        served(server=server) as s,
        s.client.stream("GET", "/api/v1/stream", headers=s.cookie()) as answer,
    ):
        parts = answer.aiter_text()
        assert await anext(parts) == "data: one\n\n"
        assert "ratelimit" in answer.headers
        await s.client.get("/go-on")
        assert await anext(parts) == "data: two\n\n"


@pytest.mark.parametrize("server", SERVERS)
async def test_a_client_that_leaves_pays(server: str) -> None:
    """The handler ran; its units are not given to the next call."""
    async with served(server=server) as s:
        with pytest.raises(httpx.ReadTimeout):
            await s.call("/api/v1/slow", timeout=0.3)
        await eventually(s.ran, lambda ran: ran["left"] == 1)
        assert await reason_of_next(s) == "within_quota"
        assert s.charges() == 2


@pytest.mark.parametrize("server", SERVERS)
async def test_a_client_that_leaves_a_stream_settles_it(server: str) -> None:
    """By `missing`: here by all that it could have cost."""
    usage = {
        "format": {"json": "/units"}, "missing": "hold",
        "hold": {"json": "/most", "default": 9, "max": 9},
    }  # fmt: skip
    route = {"name": "s", "match": {"path": "/api/v1/stream"}, "meter": {"usage": usage}}
    async with served(server=server, policy=policy(routes=[route])) as s:
        async with s.client.stream("GET", "/api/v1/stream", headers=s.cookie()) as answer:
            assert await anext(answer.aiter_text()) == "data: one\n\n"
            assert s.charges() == 1
        await soon(s.charges, lambda charges: charges == 9)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(("path", "after"), [("half", "credited"), ("late", "within_quota")])
async def test_an_answer_that_breaks_off_is_given_back(server: str, path: str, after: str) -> None:
    """One that was whole is not, whatever its background task does."""
    async with served(server=server) as s:
        try:
            await s.call(f"/api/v1/{path}")
        except httpx.RemoteProtocolError:
            assert path == "half"
        assert await reason_of_next(s) == after


async def test_an_answer_of_500_or_more_is_given_back() -> None:
    """As the proxy does by `refund: failed`."""
    async with served() as s:
        assert (await s.call("/api/v1/busy")).status_code == 503
        assert await reason_of_next(s) == "credited"


@pytest.mark.parametrize(
    ("content", "status"),
    [(b'{"n": 99}', 422), (b'{"n": "x"}', 422), (b'{"n": 1, "x": "' + b"x" * 5000 + b'"}', 413)],
)
async def test_an_amount_that_cannot_be_read_is_refused(content: bytes, status: int) -> None:
    """Before anything is charged, chunked or not."""

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(content), 100):
            yield content[at : at + 100]

    async with served() as s:
        assert (await s.call("/api/v1/batch", content=content)).status_code == status
        assert (await s.call("/api/v1/batch", content=chunks())).status_code == status
        assert s.charges() == 0


async def test_a_platform_that_is_down_fails_open_and_is_marked() -> None:
    """What passed is reported once the platform answers."""
    async with served() as s:
        await fault(s, **FAILS)
        answer = await s.call()
        assert answer.headers["x-quota-decision"] == "fail_open"
        assert "ratelimit" not in answer.headers
        await fault(s)
        await soon(s.charges, lambda charges: charges == 1)


async def test_the_metrics_are_in_the_default_registry() -> None:
    """Under the names of the sidecar."""
    async with served() as s:
        await s.call()
        page = Page((await s.client.get("/metrics")).text)
    assert page.sum("requests_total", route="ai", reason="within_quota", code="200") == 1
    assert page.sum("policy_info") == 1
    assert page.sum("inflight_requests") == 1  # the scrape


@pytest.mark.parametrize("server", SERVERS)
async def test_a_policy_that_is_wrong_stops_the_server(server: str, tmp_path: Path) -> None:
    """It says why, and takes no call; Hypercorn's exit status is 0 all the same."""
    async with surroundings(policy(), None, None, None, "http://127.0.0.1:9") as (place, _, _):
        wrong = tmp_path / "policy.yaml"
        wrong.write_text("version: 2\n")
        process = await start(
            *command(server, "tests.doors.products.starlette_app:app", free_port()),
            environ={**environ_of(place), "SIDECAR_POLICY": str(wrong)},
        )
        try:
            await process.line(lambda line: "policy.yaml:1:" in line, err=server != "granian")
            assert (await process.ended(20.0) != 0) is (server != "hypercorn")
        finally:
            await process.close()


async def test_workers_have_a_journal_each_and_lose_nothing(tmp_path: Path) -> None:
    """What two processes admitted while the platform was down is reported by their successors."""
    journal = {"SIDECAR_JOURNAL": str(tmp_path / "journal")}
    async with served(environ=journal, workers=2, orgs={ORG: 100}) as s:
        await eventually(lambda: pids(s), lambda found: len(found) == 2)
        await fault(s, **FAILS)
        answers = await asyncio.gather(*(s.call() for _ in range(40)))
        assert {answer.json()["reason"] for answer in answers} == {"fail_open"}
        await s.end()
        assert names_in(tmp_path) == ["journal", "journal.1"]
        await fault(s)
        assert s.charges() == 0
        async with s.another(workers=1):
            await soon(s.charges, lambda charges: charges == 40)


def names_in(folder: Path) -> list[str]:
    """List a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_nothing_of_a_middleware_is_in_a_sidecar_that_serves() -> None:
    """Neither its modules nor what they alone import."""
    code = (
        "import sys, sidecar.app.process, sidecar.workers.supervisor\n"
        "print([n for n in sys.modules if n.startswith(('sidecar.frontends',"
        " 'sidecar.middleware', 'sidecar.telemetry.registry', 'starlette'))])"
    )
    ran = subprocess.run(  # noqa: S603 - our own interpreter and code
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert ran.stdout.strip() == "[]"
