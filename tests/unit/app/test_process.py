"""A sidecar as a process of its own: what its signals do."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from signal import SIGHUP, SIGTERM

import pytest

from sidecar.app.process import run_until_asked
from sidecar.app.wiring import App
from tests.e2e.harness import KEY, SESSION_SECRET, Place, policy, soon

NOBODY = "http://127.0.0.1:9"


async def test_it_runs_until_it_is_asked_to_end(tmp_path: Path) -> None:
    """SIGHUP reloads; SIGTERM ends it with 0."""
    policy_file = tmp_path / "policy.yaml"
    policy_file.write_text(policy())
    environ = {"PLATFORM_INTERNAL_KEY": KEY, "APP_SESSION_SECRET": SESSION_SECRET}
    app = App(Place(policy_file, NOBODY, NOBODY, NOBODY, environ).settings(), environ)
    up = asyncio.Event()

    async def started() -> None:
        up.set()

    running = asyncio.create_task(run_until_asked(app, started))
    await up.wait()
    before = app.status.policy_view()["hash"]
    policy_file.write_text(policy(unmatched="deny"))
    os.kill(os.getpid(), SIGHUP)
    try:
        await soon(lambda: app.status.policy_view()["hash"], lambda now: now != before)
    finally:
        os.kill(os.getpid(), SIGTERM)
        assert await running == 0


async def test_a_start_that_waits_is_cut_short_by_sigterm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Process 1 of a container has no default end: until it is asked, it is asked in vain."""
    policy_file = tmp_path / "policy.yaml"
    policy_file.write_text(policy())
    environ = {"PLATFORM_INTERNAL_KEY": KEY, "APP_SESSION_SECRET": SESSION_SECRET}
    waits = asyncio.Event()

    async def forever(_: object, __: bytes) -> None:
        waits.set()
        await asyncio.Event().wait()

    monkeypatch.setattr("sidecar.app.engine._shared", forever)
    settings = Place(policy_file, NOBODY, NOBODY, NOBODY, environ).settings()
    running = asyncio.create_task(run_until_asked(App(settings, environ)))
    await waits.wait()
    os.kill(os.getpid(), SIGTERM)
    assert await asyncio.wait_for(running, 10) == 0


SERVING = """
import asyncio, os, sys
from sidecar.app.process import run_until_asked
from sidecar.app.wiring import App
from sidecar.cli import _parser
from sidecar.settings.run import Settings
import sidecar.workers.worker
args = _parser().parse_args(["run", *sys.argv[1:]])
async def serve():
    app = App(Settings.from_args(args, os.environ), os.environ)
    await app.start()
    await app.status.reload()
    await app.stop(0)
asyncio.run(serve())
print([name for name in ("aiohttp", "jwt") if name in sys.modules])
"""


def test_what_serves_has_one_http_stack(tmp_path: Path) -> None:
    """Neither aiohttp nor PyJWT is imported, also where a session's secret is checked."""
    policy_file = tmp_path / "policy.yaml"
    policy_file.write_text(policy())
    environ = {"PLATFORM_INTERNAL_KEY": KEY, "APP_SESSION_SECRET": SESSION_SECRET}
    flags = Place(policy_file, NOBODY, NOBODY, NOBODY, environ).flags()
    ran = subprocess.run(  # noqa: S603 - our own interpreter and our own code
        [sys.executable, "-c", SERVING, *flags],
        capture_output=True, text=True, timeout=60, check=True, env={**os.environ, **environ},
    )  # fmt: skip
    assert ran.stdout.strip() == "[]"
