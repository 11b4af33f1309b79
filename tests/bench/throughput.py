"""Requests per second on one core, and latency, at fixed numbers of connections."""

from __future__ import annotations

import contextlib
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tests.bench import stubs as stub
from tests.bench.load import Reading, run_wrk
from tests.bench.peer import Peer
from tests.bench.processes import LOAD_CORE, cpu_times, free_port, running
from tests.bench.work import ALIKE, Calls, Work, make_work

_ROOT: Final = Path(__file__).resolve().parents[2]
_WARM_SECONDS: Final = 1
_PAUSE_SECONDS: Final = 2


@dataclass(frozen=True, slots=True)
class Throughput:
    """One peer's medians over all rounds; latencies and processor time a request in seconds.

    `cpu` is user and system time of the peer's processes, `system` the latter alone.
    """

    peer: str
    title: str
    connections: int
    rate: float
    p50: float
    p99: float
    cpu: float
    errors: int
    rounds: tuple[float, ...]
    system: float = 0.0  # not in results before it was measured


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of the load, and the processor time a request."""

    reading: Reading
    user: float
    system: float


def measure(
    peers: Sequence[Peer],
    folder: Path,
    *,
    connections: int,
    rounds: int,
    seconds: int,
    refuse: bool = False,
    calls: Calls = ALIKE,
) -> list[Throughput]:
    """Run every peer in turn, `rounds` times over, so that noise meets all alike.

    With `refuse` the platform says no: what is measured is how fast a call is denied. Calls that
    stream have a product that streams.
    """
    ports = stub.reserve()
    work = make_work(ports.issuer, calls.orgs)
    readings: dict[str, list[_Run]] = {peer.name: [] for peer in peers}
    with contextlib.ExitStack() as stack:
        stack.enter_context(stub.started(ports, work, folder, refuse=refuse))
        if calls.streams:
            ports = replace(ports, upstream=stack.enter_context(_product(folder)))
        for _ in range(rounds):
            for peer in peers:
                try:
                    run = _one(peer, ports, work, folder, calls, load=(connections, seconds))
                except RuntimeError as error:
                    print(f"bench: {peer.title} did not run: {error}", file=sys.stderr)
                    continue
                readings[peer.name].append(run)
                print(
                    f"  {peer.title:<46} {connections:>4} {run.reading.rate:>10,.0f}/s"
                    f" {run.user * 1e6:>6.0f} + {run.system * 1e6:.0f} us",
                    flush=True,
                )
    return [_median(peer, connections, found) for peer in peers if (found := readings[peer.name])]


@contextlib.contextmanager
def _product(folder: Path) -> Iterator[int]:
    """Run the product that streams; return its port."""
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.product", str(port)]
    env = {"PYTHONPATH": str(_ROOT)}
    with running(command, core=LOAD_CORE, port=port, log=folder / "product.log", env=env):
        yield port


def _one(
    peer: Peer, ports: stub.Stubs, work: Work, folder: Path, calls: Calls, *, load: tuple[int, int]
) -> _Run:
    connections, seconds = load
    with peer.run(ports, folder) as system:
        url = f"http://127.0.0.1:{system.port}{peer.path}"
        more = dict(peer.fields)
        if "x-portkey-provider" in more:
            more["x-portkey-custom-host"] = f"{ports.upstream_url}/v1"
        if calls == ALIKE:
            script = work.wrk_script(folder, more, bodiless=peer.bodiless)
        else:
            script = work.distinct_script(folder, peer.path, more, calls)
        run_wrk(url, script, connections=connections, seconds=_WARM_SECONDS)
        if calls.streams:
            time.sleep(_PAUSE_SECONDS)  # what was under way when wrk left must not count
        pids = (system.pid, *system.others)
        user, kernel = cpu_times(*pids)
        reading = run_wrk(url, script, connections=connections, seconds=seconds)
        user_after, kernel_after = cpu_times(*pids)
        requests = max(reading.rate * seconds, 1)
        return _Run(reading, (user_after - user) / requests, (kernel_after - kernel) / requests)


def _median(peer: Peer, connections: int, runs: Sequence[_Run]) -> Throughput:
    loads = [run.reading for run in runs]
    return Throughput(
        peer.name,
        peer.title,
        connections,
        statistics.median(each.rate for each in loads),
        statistics.median(each.p50 for each in loads),
        statistics.median(each.p99 for each in loads),
        statistics.median(run.user + run.system for run in runs),
        sum(each.errors for each in loads),
        tuple(each.rate for each in loads),
        statistics.median(run.system for run in runs),
    )
