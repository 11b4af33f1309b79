"""`make bench`: every part in turn, into docs/performance/. See docs/performance.md."""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.bench import (
    bodies,
    doors,
    flames,
    injector,
    isolation,
    latency,
    startup,
    streaming,
    throughput,
    workers,
)
from tests.bench.peer import Peer
from tests.bench.peers import all_peers, stubs_alone
from tests.bench.report import Report

_PARTS: Final = (
    "throughput", "alone", "denied", "doors", "latency", "streaming", "idle", "bodies", "startup",
    "workers", "isolation", "flames",
)  # fmt: skip
_RESULTS: Final = Path(__file__).resolve().parents[2] / "docs" / "performance"


def main() -> None:
    """Read the flags, run the parts, write the report."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(_PARTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=_RESULTS)
    args = parser.parse_args()
    unknown = set(args.parts) - set(_PARTS)
    if unknown:
        sys.exit(f"bench: no part {', '.join(sorted(unknown))}; there are {', '.join(_PARTS)}")
    parts = args.parts or list(_PARTS)
    programs = ("nginx", "taskset") if parts == ["isolation"] else ("wrk", "nginx", "taskset")
    for program in programs:
        if shutil.which(program) is None:
            sys.exit(f"bench: {program} is missing: install it (Debian: apt-get install {program})")
    report = Report()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        _run(report, parts, Path(folder), args.rounds, args.seconds)
        if "flames" in parts:
            flames.draw(Path(folder), args.out, seconds=max(args.seconds, 10))
    report.write(args.out)
    print(report.markdown())


def _run(report: Report, parts: Sequence[str], folder: Path, rounds: int, seconds: int) -> None:
    peers = {peer.name: peer for peer in _present(all_peers())}
    _requests(report, peers, parts, folder, rounds=rounds, seconds=seconds)
    _streams(report, peers, parts, folder, rounds=rounds, seconds=seconds)
    compiled = "sidecar_exact_compiled" in peers
    if "startup" in parts:
        report.startup = startup.measure(folder, rounds=max(rounds, 5), compiled=compiled)
    if "workers" in parts:
        report.workers = workers.measure(folder, rounds=rounds, seconds=seconds, compiled=compiled)
    if "isolation" in parts:
        report.isolation = isolation.measure(folder, seconds=seconds, compiled=compiled)
        report.isolation.append(injector.measure(folder, seconds=seconds))


def _of(peers: Mapping[str, Peer], *names: str) -> list[Peer]:
    return [peers[name] for name in names if name in peers]


def _requests(
    report: Report, peers: Mapping[str, Peer], parts: Sequence[str], folder: Path,
    *, rounds: int, seconds: int,
) -> None:  # fmt: skip
    """Measure what is asked and answered: how many, and how fast."""
    ours = _of(peers, "sidecar_exact", "sidecar_exact_compiled")
    if "throughput" in parts or "latency" in parts:
        for connections in (32, 256):
            report.throughput += throughput.measure(
                list(peers.values()), folder,
                connections=connections, rounds=rounds, seconds=seconds,
            )  # fmt: skip
    if "alone" in parts:
        report.alone = throughput.measure(
            [
                *stubs_alone(),
                *ours,
                *_of(peers, "sidecar_unmetered", "envoy_authz", "nginx_auth", "aiohttp"),
            ],
            folder, connections=1, rounds=rounds, seconds=seconds,
        )  # fmt: skip
    if "denied" in parts:
        report.denied = throughput.measure(
            [*ours, *_of(peers, "envoy_authz")], folder,
            connections=32, rounds=rounds, seconds=seconds, refuse=True,
        )  # fmt: skip
    if "doors" in parts:
        report.doors = throughput.measure(
            [*ours, *_of(peers, "envoy_authz", "nginx_auth"), *_present(doors.door_peers())],
            folder, connections=32, rounds=rounds, seconds=seconds,
        )  # fmt: skip
    if "latency" in parts:
        compared = [*ours, *_of(peers, "envoy_authz", "nginx_auth", "aiohttp")]
        rates = {row.peer: row.rate for row in report.throughput if row.connections == 32}
        if "envoy_authz" in rates:  # what is there before any system, asked for as much
            compared.append(stubs_alone()[0])
            rates["product"] = rates["envoy_authz"]
        report.latency = latency.measure(
            compared, rates, folder, shares=(0.25, 0.5, 0.75), rounds=rounds, seconds=seconds
        )


def _streams(
    report: Report, peers: Mapping[str, Peer], parts: Sequence[str], folder: Path,
    *, rounds: int, seconds: int,
) -> None:  # fmt: skip
    """Measure what is passed on: events, what a silent stream weighs, large bodies."""
    plain = _of(peers, "sidecar_unmetered", "sidecar_unmetered_compiled", "envoy", "nginx")
    if "streaming" in parts:
        for streams, offered in itertools.product((16, 500), (0, streaming.PACED)):
            report.streaming += streaming.measure_events(
                plain, folder, streams=streams, offered=offered, rounds=rounds, seconds=seconds
            )
    if "idle" in parts:
        for streams in (1000, 5000):
            report.idle += streaming.measure_idle(plain, folder, streams=streams)
    if "bodies" in parts:
        report.bodies = bodies.measure(plain, folder, rounds=rounds, seconds=seconds)


def _present(peers: Sequence[Peer]) -> list[Peer]:
    """Return the peers that can run here; say loudly which cannot, and what they lack."""
    found = []
    for peer in peers:
        if peer.missing is None:
            found.append(peer)
        else:
            print(f"bench: left out: {peer.title}: needs {peer.missing}", file=sys.stderr)
    return found


if __name__ == "__main__":
    main()
