"""Requests per second on one core, and latency, at fixed numbers of connections."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench import stubs as stub
from tests.bench.load import Reading, run_wrk
from tests.bench.peer import Peer
from tests.bench.processes import cpu_seconds
from tests.bench.work import Work, make_work

_WARM_SECONDS: Final = 1


@dataclass(frozen=True, slots=True)
class Throughput:
    """One peer's medians over all rounds; latencies and processor time a request in seconds."""

    peer: str
    title: str
    connections: int
    rate: float
    p50: float
    p99: float
    cpu: float
    errors: int
    rounds: tuple[float, ...]


def measure(
    peers: Sequence[Peer],
    folder: Path,
    *,
    connections: int,
    rounds: int,
    seconds: int,
    refuse: bool = False,
) -> list[Throughput]:
    """Run every peer in turn, `rounds` times over, so that noise meets all alike.

    With `refuse` the platform says no: what is measured is how fast a call is denied.
    """
    ports = stub.reserve()
    work = make_work(ports.platform_url)
    readings: dict[str, list[tuple[Reading, float]]] = {peer.name: [] for peer in peers}
    with stub.started(ports, work, folder, refuse=refuse):
        for _ in range(rounds):
            for peer in peers:
                try:
                    reading = _one(peer, ports, work, folder, load=(connections, seconds))
                except RuntimeError as error:
                    print(f"bench: {peer.title} did not run: {error}", file=sys.stderr)
                    continue
                readings[peer.name].append(reading)
                rate = reading[0].rate
                print(f"  {peer.title:<32} {connections:>4} {rate:>10,.0f}/s", flush=True)
    return [_median(peer, connections, found) for peer in peers if (found := readings[peer.name])]


def _one(
    peer: Peer, ports: stub.Stubs, work: Work, folder: Path, *, load: tuple[int, int]
) -> tuple[Reading, float]:
    """Load a peer; return the reading, and the seconds of processor time a request."""
    connections, seconds = load
    with peer.run(ports, folder) as running:
        url = f"http://127.0.0.1:{running.port}{peer.path}"
        more = dict(peer.fields)
        if "x-portkey-provider" in more:
            more["x-portkey-custom-host"] = f"{ports.upstream_url}/v1"
        script = work.wrk_script(folder, more, bodiless=peer.bodiless)
        pids = (running.pid, *running.others)
        run_wrk(url, script, connections=connections, seconds=_WARM_SECONDS)
        before = sum(map(cpu_seconds, pids))
        reading = run_wrk(url, script, connections=connections, seconds=seconds)
        return reading, (sum(map(cpu_seconds, pids)) - before) / max(reading.rate * seconds, 1)


def _median(peer: Peer, connections: int, readings: Sequence[tuple[Reading, float]]) -> Throughput:
    loads = [reading for reading, _ in readings]
    return Throughput(
        peer.name,
        peer.title,
        connections,
        statistics.median(each.rate for each in loads),
        statistics.median(each.p50 for each in loads),
        statistics.median(each.p99 for each in loads),
        statistics.median(cpu for _, cpu in readings),
        sum(each.errors for each in loads),
        tuple(each.rate for each in loads),
    )
