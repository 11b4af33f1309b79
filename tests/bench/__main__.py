"""`make bench`: every part in turn, into docs/performance/. See docs/performance.md."""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench import (
    bodies,
    capacity,
    flames,
    injector,
    isolation,
    latency,
    loads,
    startup,
    streaming,
    workers,
)
from tests.bench.doors import door_peers
from tests.bench.loads import LOADS
from tests.bench.peer import Peer
from tests.bench.peers import all_peers
from tests.bench.report import Report

_PARTS: Final = (
    *LOADS, "latency", "capacity", "streaming", "poured", "settled_events", "idle", "bodies",
    "startup", "workers", "isolation", "flames",
)  # fmt: skip
_GOALS: Final = (
    "tls", "plain", "distinct", "denied", "settled", "large", "alone_tls", "capacity", "poured",
    "settled_events", "idle", "bodies", "startup",
)  # fmt: skip
"""The parts whose figures the goals of the current milestone compare."""
_STREAMS: Final[Mapping[str, Sequence[tuple[int, int]]]] = {
    "streaming": tuple(itertools.product((16, 500), (0, streaming.PACED))),
    "poured": ((500, 0),),
    "settled_events": ((16, streaming.PACED), (500, streaming.PACED)),
}
"""Of the parts that stream, how many streams, and events a second over all: 0 as many as pass."""
_ALSO: Final = {"goals": _GOALS, "latency": ("throughput", "latency")}
"""Names for several parts; latency is offered as shares of the throughput in the same run."""
_RESULTS: Final = Path(__file__).resolve().parents[2] / "docs" / "performance"


@dataclass(frozen=True, slots=True)
class _Session:
    """One run of the benchmarks."""

    report: Report
    peers: Mapping[str, Peer]
    folder: Path
    out: Path
    rounds: int
    seconds: int

    def named(self, *names: str) -> list[Peer]:
        """Return those of the peers that can run here."""
        return [self.peers[name] for name in names if name in self.peers]

    @property
    def compiled(self) -> bool:
        """Whether the compiled build can run here."""
        return "sidecar_exact_compiled" in self.peers


def main() -> None:
    """Read the flags, run the parts, write the report after each."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    names = ("goals", *_PARTS)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(names))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=_RESULTS)
    args = parser.parse_args()
    unknown = set(args.parts) - set(names)
    if unknown:
        sys.exit(f"bench: no part {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    wanted = {each for part in args.parts or _PARTS for each in _ALSO.get(part, (part,))}
    programs = ("nginx", "taskset") if wanted == {"isolation"} else ("wrk", "nginx", "taskset")
    for program in programs:
        if shutil.which(program) is None:
            sys.exit(f"bench: {program} is missing: install it (Debian: apt-get install {program})")
    report = Report.read(args.out)
    peers = {peer.name: peer for peer in _present((*all_peers(), *door_peers()))}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        session = _Session(report, peers, Path(folder), args.out, args.rounds, args.seconds)
        for part in _PARTS:
            if part in wanted:
                print(f"{part}:", flush=True)
                _measure(part, session)
                report.note(part)
                report.write(args.out)
    print(report.markdown())


def _measure(part: str, session: _Session) -> None:
    """Measure one part and put its rows into the report."""
    report, folder = session.report, session.folder
    rounds, seconds = session.rounds, session.seconds
    plain = session.named("sidecar_unmetered", "sidecar_unmetered_compiled", "envoy", "nginx")
    metered = session.named(
        "sidecar_exact_stream", "sidecar_exact_stream_compiled",
        "sidecar_settled_stream", "sidecar_settled_stream_compiled",
    )  # fmt: skip
    match part:
        case "latency":
            _latency(session)
        case "capacity":
            report.capacity = capacity.measure(
                session.named(
                    "sidecar_exact_tls", "sidecar_exact_tls_compiled", "envoy_authz_default_tls"
                ),
                session.peers["product"], folder, rounds=rounds, seconds=seconds,
            )  # fmt: skip
        case "streaming" | "poured" | "settled_events":
            compared = {"streaming": plain + metered, "poured": plain, "settled_events": metered}
            for streams, offered in _STREAMS[part]:
                report.replace_streaming(
                    streaming.measure_events(
                        compared[part], folder,
                        streams=streams, offered=offered, rounds=rounds, seconds=seconds,
                    )
                )  # fmt: skip
        case "idle":
            report.idle = [
                row for streams, compared in ((1000, plain + metered), (5000, plain))
                for row in streaming.measure_idle(compared, folder, streams=streams)
            ]  # fmt: skip
        case "bodies":
            report.bodies = bodies.measure(plain, folder, rounds=rounds, seconds=seconds)
        case "startup":
            report.startup = startup.measure(
                folder, rounds=max(rounds, 5), compiled=session.compiled
            )
        case "workers":
            report.workers = workers.measure(
                folder, rounds=rounds, seconds=seconds, compiled=session.compiled
            )
        case "isolation":
            report.isolation = isolation.measure(folder, seconds=seconds, compiled=session.compiled)
            report.isolation.append(injector.measure(folder, seconds=seconds))
        case "flames":
            flames.draw(folder, session.out, seconds=max(seconds, 10))
        case _:
            report.loads[part] = loads.measure(
                LOADS[part], session.peers, folder, rounds=rounds, seconds=seconds
            )


def _latency(session: _Session) -> None:
    compared = session.named(
        "sidecar_exact", "sidecar_exact_compiled", "envoy_authz", "nginx_auth", "aiohttp"
    )
    rows = session.report.loads["throughput"]
    rates = {row.peer: row.rate for row in rows if row.connections == 32}
    if "envoy_authz" in rates:  # what is there before any system, asked for as much
        compared.append(session.peers["product"])
        rates["product"] = rates["envoy_authz"]
    session.report.latency = latency.measure(
        compared, rates, session.folder,
        shares=(0.25, 0.5, 0.75), rounds=session.rounds, seconds=session.seconds,
    )  # fmt: skip


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
