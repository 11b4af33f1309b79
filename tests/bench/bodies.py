"""Large bodies, up and down, in megabytes a second."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tests.bench import stubs as stub
from tests.bench.load import run_wrk
from tests.bench.peer import Peer
from tests.bench.processes import LOAD_CORE, free_port, running
from tests.bench.work import make_work

_ROOT: Final = Path(__file__).resolve().parents[2]
_BYTES: Final = 10_000_000
_CONNECTIONS: Final = 4


@dataclass(frozen=True, slots=True)
class Bodies:
    """One system: 10 MB bodies, megabytes a second each way (medians)."""

    peer: str
    title: str
    down: float
    up: float


def measure(peers: Sequence[Peer], folder: Path, *, rounds: int, seconds: int) -> list[Bodies]:
    """Move 10 MB bodies through each peer in turn, `rounds` times over."""
    ports = stub.reserve()
    work = make_work(ports.issuer)
    (folder / "large").write_bytes(b"x" * _BYTES)
    get = folder / "down.lua"
    get.write_text('wrk.method = "GET"\n')
    put = folder / "up.lua"
    put.write_text(f'wrk.method = "PUT"\nwrk.body = string.rep("x", {_BYTES})\n')
    down: dict[str, list[float]] = {peer.name: [] for peer in peers}
    up: dict[str, list[float]] = {peer.name: [] for peer in peers}
    sink = free_port()
    with (
        stub.started(ports, work, folder),
        running(
            [sys.executable, "-m", "tests.bench.streams", "sink", str(sink)],
            core=LOAD_CORE, port=sink, log=folder / "sink.log", env={"PYTHONPATH": str(_ROOT)},
        ),
    ):  # fmt: skip
        to_sink = replace(ports, upstream=sink)
        for _ in range(rounds):
            for peer in peers:
                for path, script, behind, into in (
                    ("/large", get, ports, down),
                    ("/upload", put, to_sink, up),
                ):
                    with peer.run(behind, folder) as system:
                        url = f"http://127.0.0.1:{system.port}{path}"
                        reading = run_wrk(url, script, connections=_CONNECTIONS, seconds=seconds)
                    if reading.errors:
                        raise RuntimeError(f"{peer.title}: {reading.errors} errors on {path}")
                    into[peer.name].append(reading.rate * _BYTES / 1e6)
                print(
                    f"  {peer.title:<28} {down[peer.name][-1]:>8,.0f} MB/s down"
                    f" {up[peer.name][-1]:>8,.0f} MB/s up",
                    flush=True,
                )
    return [
        Bodies(
            peer.name,
            peer.title,
            statistics.median(down[peer.name]),
            statistics.median(up[peer.name]),
        )
        for peer in peers
    ]
