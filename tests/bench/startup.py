"""How long the sidecar takes from start to ready, and what it weighs then."""

from __future__ import annotations

import compileall
import itertools
import statistics
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench import stubs as stub
from tests.bench.peers import COMPILED, run_sidecar
from tests.bench.processes import LOAD_CORE, SYSTEM_CORE, free_port, resident_bytes
from tests.bench.work import make_work

_ROOT: Final = Path(__file__).resolve().parents[2]
_PATIENCE: Final = 30.0
_CORES: Final = (SYSTEM_CORE, f"{SYSTEM_CORE},{LOAD_CORE}")


@dataclass(frozen=True, slots=True)
class Startup:
    """Medians of one build: seconds from start to a 200 of `/ready`, and resident bytes then."""

    peer: str
    title: str
    cores: int
    seconds: float
    resident: float


def measure(folder: Path, *, rounds: int, compiled: bool) -> list[Startup]:
    """Start each build `rounds` times, in turn; modules have their bytecode, as if installed."""
    compileall.compile_dir(_ROOT / "sidecar", quiet=1)
    builds = {"sidecar_exact": "bb-sidecar"}
    if compiled:
        builds[f"sidecar_exact{COMPILED}"] = "bb-sidecar, compiled"
    ports = stub.reserve()
    work = make_work(ports.issuer)
    starts = list(itertools.product(builds, _CORES))
    seconds: dict[tuple[str, str], list[float]] = {start: [] for start in starts}
    resident: dict[tuple[str, str], list[int]] = {start: [] for start in starts}
    with stub.started(ports, work, folder):
        for peer, cores in starts * rounds:
            admin = free_port()
            began = time.perf_counter()
            with run_sidecar(
                "exact", ports, folder, admin=admin, cores=cores, compiled=peer.endswith(COMPILED)
            ) as running:
                _wait_ready(admin)
                seconds[peer, cores].append(time.perf_counter() - began)
                resident[peer, cores].append(resident_bytes(running.pid))
    return [
        Startup(
            peer, builds[peer], cores.count(",") + 1,
            statistics.median(seconds[peer, cores]), statistics.median(resident[peer, cores]),
        )
        for peer, cores in starts
    ]  # fmt: skip


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
