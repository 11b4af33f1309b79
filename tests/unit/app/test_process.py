"""A sidecar as a process of its own: what its signals do."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from signal import SIGHUP, SIGTERM

from sidecar.app.process import run_until_asked
from sidecar.app.wiring import App
from sidecar.policy.compiled import Policy
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


async def test_a_start_that_waits_is_cut_short_by_sigterm(tmp_path: Path) -> None:
    """Process 1 of a container has no default end: until it is asked, it is asked in vain."""
    policy_file = tmp_path / "policy.yaml"
    policy_file.write_text(policy())
    environ = {"PLATFORM_INTERNAL_KEY": KEY, "APP_SESSION_SECRET": SESSION_SECRET}
    waits = asyncio.Event()

    async def forever() -> Policy:
        waits.set()
        await asyncio.Event().wait()
        raise AssertionError("never")

    settings = Place(policy_file, NOBODY, NOBODY, NOBODY, environ).settings()
    running = asyncio.create_task(run_until_asked(App(settings, environ, first=forever)))
    await waits.wait()
    os.kill(os.getpid(), SIGTERM)
    assert await asyncio.wait_for(running, 10) == 0


def test_what_serves_does_not_know_how_to_read_a_policy() -> None:
    """YAML, pydantic and PyJWT stay out of a process that has no use for them."""
    code = (
        "import sys, sidecar.app.process, sidecar.workers.worker;"
        "print([m for m in ('pydantic', 'yaml', 'jwt', 'sidecar.policy.load') if m in sys.modules])"
    )
    ran = subprocess.run(  # noqa: S603 - our own interpreter and our own code
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout.strip() == "[]"
