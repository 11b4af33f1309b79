"""A sidecar under attack: its policy, its attacker, and the probes that ask for it meanwhile."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.attacks import CONSTANT, COUNTED
from tests.bench.processes import LOAD_CORE, SYSTEM_CORE, free_port, running
from tests.bench.stubs import Stubs
from tests.bench.work import KEY, PRODUCT

_ROOT: Final = Path(__file__).resolve().parents[2]
_PROBE_PAUSE: Final = 0.05
PROBE_TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Setting:
    """One attack, with what its sidecar needs besides the usual flags."""

    attack: str
    title: str
    flags: tuple[str, ...] = ()
    routes: int = 0
    platform: str = "answers"


def _policy(routes: int) -> str:
    defaults = (
        "{resource: ai_calls, platform_timeout: 250ms, on_platform_error: fail_open,"
        " fail_open_budget: {units: 1000, seconds: 15m}}"
    )
    amount = "{json: /n, default: 1, max: 16}"
    post = "methods: [POST]"
    lines = [
        "version: 1",
        f"product: {PRODUCT}",
        "identity: [{cookie: bb_at}]",
        f"defaults: {defaults}",
        "routes:",
        f"  - {{name: counted, match: {{path: {COUNTED}, {post}}}, meter: {{amount: {amount}}}}}",
        f"  - {{name: chat, match: {{path: {CONSTANT}, {post}}}, meter: {{}}}}",
        *(f"  - {{name: r{n}, match: {{path: /r/{n}}}, meter: {{}}}}" for n in range(routes)),
        "  - {name: rest, match: {path: /**}, action: allow}",
        "unmatched: allow",
    ]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A sidecar that runs with its usual limits."""

    port: int
    admin: int
    pid: int

    def get(self, path: str) -> str:
        """Ask the admin port."""
        url = f"http://127.0.0.1:{self.admin}{path}"
        with urllib.request.urlopen(url, timeout=PROBE_TIMEOUT) as answer:
            return str(answer.read().decode())


@contextlib.contextmanager
def run_attacked(
    setting: Setting, platform: str, ports: Stubs, folder: Path, *, compiled: bool
) -> Iterator[Sidecar]:
    """Run a sidecar with its usual limits, in front of a platform of this URL."""
    policy = folder / "isolation.yaml"
    policy.write_text(_policy(setting.routes))
    port, admin = free_port(), free_port()
    command: list[str | Path] = [
        sys.executable, *(["-P"] if compiled else []), "-m", "sidecar", "run", "--policy", policy,
        "--upstream", ports.upstream_url, "--host", "127.0.0.1", "--port", str(port),
        "--admin", f"127.0.0.1:{admin}", "--platform-url", platform,
        "--auth-url", ports.platform_url, "--drain-seconds", "1", "--log-level", "error",
        *setting.flags,
    ]  # fmt: skip
    env = {
        "PLATFORM_INTERNAL_KEY": KEY,
        "SIDECAR_WEBHOOK_SECRET": "isolation" if "--webhook-url" in setting.flags else "",
        "PYTHONPATH": "" if compiled else str(_ROOT),
    }
    log = folder / "isolation.log"
    with running(command, core=SYSTEM_CORE, port=port, log=log, env=env) as process:
        yield Sidecar(port, admin, process.pid)


class Prober(threading.Thread):
    """Asks for /health as a kubelet does, only more often, and keeps the slowest answer."""

    def __init__(self, sidecar: Sidecar) -> None:
        super().__init__(daemon=True)
        self._sidecar = sidecar
        self._ended = threading.Event()
        self.slowest = 0.0

    def run(self) -> None:
        while not self._ended.wait(_PROBE_PAUSE):
            began = time.perf_counter()
            try:
                self._sidecar.get("/health")
                took = time.perf_counter() - began
            except OSError:
                took = PROBE_TIMEOUT  # no answer is worse than a late one
            self.slowest = max(self.slowest, took)

    def end(self) -> float:
        """Stop, and return the slowest."""
        self._ended.set()
        self.join()
        return self.slowest


@contextlib.contextmanager
def attacking(setting: Setting, sidecar: Sidecar, token: str) -> Iterator[None]:
    """Attack for the block."""
    command = [
        "nice", "-n", "19", "taskset", "-c", LOAD_CORE, sys.executable, "-m", "tests.bench.attacks",
        setting.attack, str(sidecar.port), str(sidecar.admin), token,
    ]  # fmt: skip
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline().strip() != "attacking":
            raise RuntimeError(f"the attack did not begin: {setting.title}")
        try:
            yield
            if process.poll() is not None:
                raise RuntimeError(f"the attack ended early: {setting.title}")
        finally:
            process.terminate()
