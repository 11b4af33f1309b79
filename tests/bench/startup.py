"""How long the sidecar takes from start to ready, and what it weighs then."""

from __future__ import annotations

import statistics
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench import stubs as stub
from tests.bench.peers import run_sidecar
from tests.bench.processes import free_port, resident_bytes
from tests.bench.work import make_work

_PATIENCE: Final = 30.0


@dataclass(frozen=True, slots=True)
class Startup:
    """Medians: seconds from start to a 200 of `/ready`, and resident bytes then."""

    seconds: float
    resident: float


def measure(folder: Path, *, rounds: int) -> Startup:
    """Start the sidecar `rounds` times."""
    ports = stub.reserve()
    work = make_work(ports.platform_url)
    seconds: list[float] = []
    resident: list[int] = []
    with stub.started(ports, work, folder):
        for _ in range(rounds):
            admin = free_port()
            began = time.perf_counter()
            with run_sidecar("exact", ports, folder, admin=admin) as running:
                _wait_ready(admin)
                seconds.append(time.perf_counter() - began)
                resident.append(resident_bytes(running.pid))
    return Startup(statistics.median(seconds), statistics.median(resident))


def _wait_ready(admin: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{admin}/ready", timeout=1).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.005)
        else:
            return
    raise RuntimeError(f"the sidecar was not ready within {_PATIENCE:.0f} s")
