"""What a second worker brings, on the two cores that the load shares with it."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

from tests.bench import stubs as stub
from tests.bench.load import run_wrk
from tests.bench.peers import run_sidecar
from tests.bench.processes import BOTH_CORES, cpu_seconds
from tests.bench.work import PATH, make_work

_CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class Workers:
    """Medians with a number of workers: requests a second, and how many cores the sidecar used."""

    workers: int
    rate: float
    cores: float


def measure(folder: Path, *, rounds: int, seconds: int, compiled: bool) -> list[Workers]:
    """Load the sidecar in exact mode with one worker and with two, in turn, `rounds` times over."""
    ports = stub.reserve()
    work = make_work(ports.issuer)
    found: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    with stub.started(ports, work, folder):
        for _ in range(rounds):
            for workers, readings in found.items():
                with run_sidecar(
                    "exact", ports, folder, compiled=compiled, workers=workers, cores=BOTH_CORES
                ) as running:
                    script = work.wrk_script(folder, {})
                    url = f"http://127.0.0.1:{running.port}{PATH}"
                    run_wrk(url, script, connections=_CONNECTIONS, seconds=1)
                    before = cpu_seconds(running.pid)
                    reading = run_wrk(url, script, connections=_CONNECTIONS, seconds=seconds)
                    used = cpu_seconds(running.pid) - before
                    readings.append((reading.rate, used / seconds))
                print(f"  {workers} workers {readings[-1][0]:>10,.0f}/s", flush=True)
    return [
        Workers(
            workers,
            statistics.median(rate for rate, _ in readings),
            statistics.median(cores for _, cores in readings),
        )
        for workers, readings in found.items()
    ]
