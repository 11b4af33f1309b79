"""Events per second, time to the first event, and memory of an idle stream."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench import stubs as stub
from tests.bench.peer import Peer
from tests.bench.processes import (
    LOAD_CORE,
    cpu_seconds,
    free_port,
    resident_bytes,
    running,
)
from tests.bench.work import make_work

_ROOT: Final = Path(__file__).resolve().parents[2]
_STREAMS: Final = [sys.executable, "-m", "tests.bench.streams"]


@dataclass(frozen=True, slots=True)
class Streaming:
    """One system with a number of streams: events a second, seconds to the first (medians).

    `cpu`: seconds of its own processor time an event. Product and readers share the other core, and
    may be what is full; this tells what the system could carry all the same.
    """

    peer: str
    title: str
    streams: int
    rate: float
    first: float
    cpu: float


@dataclass(frozen=True, slots=True)
class IdleMemory:
    """Resident bytes that one held stream takes, and of the system before there were any."""

    peer: str
    title: str
    streams: int
    each: float
    base: float


@contextlib.contextmanager
def _product(folder: Path) -> Iterator[stub.Stubs]:
    """Run the platform stub, and a product that streams."""
    ports = stub.reserve()
    work = make_work(ports.platform_url)
    product = free_port()
    env = {"PYTHONPATH": str(_ROOT)}
    with (
        stub.started(ports, work, folder),
        running(
            [*_STREAMS, "serve", str(product)],
            core=LOAD_CORE, port=product, log=folder / "streams.log", env=env,
        ),
    ):  # fmt: skip
        yield stub.Stubs(product, ports.platform)


def measure_events(
    peers: Sequence[Peer], folder: Path, *, streams: int, rounds: int, seconds: float
) -> list[Streaming]:
    """Count events through each peer in turn, `rounds` times over."""
    found: dict[str, list[dict[str, float]]] = {peer.name: [] for peer in peers}
    with _product(folder) as ports:
        for _ in range(rounds):
            for peer in peers:
                with peer.run(ports, folder) as system:
                    command = [
                        "taskset", "-c", LOAD_CORE, *_STREAMS,
                        "count", str(system.port), str(streams), str(seconds),
                    ]  # fmt: skip
                    before = cpu_seconds(system.pid)
                    done = subprocess.run(
                        command, capture_output=True, text=True, timeout=120, check=True, cwd=_ROOT
                    )
                    reading = json.loads(done.stdout)
                    events = max(reading["rate"] * seconds, 1.0)
                    reading["cpu"] = (cpu_seconds(system.pid) - before) / events
                    found[peer.name].append(reading)
                rate = found[peer.name][-1]["rate"]
                print(f"  {peer.title:<32} {streams:>4} {rate:>10,.0f} events/s", flush=True)
    return [
        Streaming(
            peer.name,
            peer.title,
            streams,
            statistics.median(each["rate"] for each in found[peer.name]),
            statistics.median(each["first"] for each in found[peer.name]),
            statistics.median(each["cpu"] for each in found[peer.name]),
        )
        for peer in peers
    ]


def measure_idle(peers: Sequence[Peer], folder: Path, *, streams: int) -> list[IdleMemory]:
    """Hold `streams` streams open through each peer and look at its memory."""
    found = []
    with _product(folder) as ports:
        for peer in peers:
            with peer.run(ports, folder) as system:
                _hold(system.port, 50)  # buffers, caches and code that any stream brings
                base = resident_bytes(system.pid)
                grown = _hold(system.port, streams, lambda pid=system.pid: resident_bytes(pid))
                each = (grown - base) / streams
                found.append(IdleMemory(peer.name, peer.title, streams, each, base))
                print(f"  {peer.title:<32} {each / 1024:>8.1f} KiB a stream", flush=True)
    return found


def _hold(port: int, streams: int, look: object = None) -> int:
    """Hold streams open; return what `look` returns meanwhile, 0 without one."""
    command = ["taskset", "-c", LOAD_CORE, *_STREAMS, "hold", str(port), str(streams)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        if holder.stdout.readline().strip() != "held":
            raise RuntimeError(f"{streams} streams could not be opened on port {port}")
        seen = int(look()) if callable(look) else 0
        holder.stdin.close()
        holder.wait(30)
    return seen
