"""What was measured, as JSON, Markdown and charts, with the targets beside it."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from tests.bench import chart
from tests.bench.bodies import Bodies
from tests.bench.isolation import Isolation
from tests.bench.latency import Latency
from tests.bench.peers import COMPILED
from tests.bench.startup import Startup
from tests.bench.streaming import IdleMemory, Streaming
from tests.bench.throughput import Throughput
from tests.bench.workers import Workers

_OURS: Final = "sidecar"


@dataclass(frozen=True, slots=True)
class Target:
    """One row of the targets: what both builds reached, None where it was not measured."""

    name: str
    pure: float | None
    compiled: float | None
    bound: float
    at_least: bool


@dataclass(slots=True)
class Report:
    """All results of one session; a part that was not asked for stays empty."""

    python: str = platform.python_version()
    throughput: list[Throughput] = field(default_factory=list)
    alone: list[Throughput] = field(default_factory=list)
    denied: list[Throughput] = field(default_factory=list)
    doors: list[Throughput] = field(default_factory=list)
    latency: list[Latency] = field(default_factory=list)
    streaming: list[Streaming] = field(default_factory=list)
    idle: list[IdleMemory] = field(default_factory=list)
    bodies: list[Bodies] = field(default_factory=list)
    workers: list[Workers] = field(default_factory=list)
    startup: list[Startup] = field(default_factory=list)
    isolation: list[Isolation] = field(default_factory=list)

    def targets(self) -> list[Target]:
        """Return each target that can be told, of these sources and of the compiled build."""
        rates = {row.peer: row.rate for row in reversed(self.throughput)}  # of few connections
        denied = {row.peer: row.rate for row in self.denied}
        asked = {row.peer: row.rate for row in self.doors}
        few = min((row.streams for row in self.streaming), default=0)
        poured, paced = (
            {x.peer: x for x in self.streaming if x.streams == few and bool(x.offered) is slow}
            for slow in (False, True)
        )
        events = {peer: row.rate for peer, row in poured.items()}
        single = {peer: 1 / row.cpu for peer, row in paced.items() if row.cpu}
        alone = {row.peer: row.p50 * 1e3 for row in self.alone}
        below = alone.pop("product", 0.0) + alone.pop("platform", 0.0)
        added = {peer: p50 - below for peer, p50 in alone.items()}
        half = {row.peer: row.p99 for row in self.latency if row.share == 0.5}
        idle = {row.peer: row.each / 1024 for row in self.idle}
        down = {row.peer: row.down for row in self.bodies}
        up = {row.peer: row.up for row in self.bodies}
        begun = {
            cores: {row.peer: row.seconds * 1e3 for row in self.startup if row.cores == cores}
            for cores in (1, 2)
        }
        weight = {row.peer: row.resident / 1e6 for row in self.startup}
        rows = [
            _against("exact / Envoy + ext_authz, requests/s", rates, "exact", "envoy_authz", 1.5),
            _against("exact / aiohttp proxy, requests/s", rates, "exact", "aiohttp", 5.0),
            _against("exact / aiohttp proxy that caches tokens, requests/s", rates, "exact",
                     "aiohttp_cached", 5.0),
            _against("denied / Envoy + ext_authz allowing", denied | {
                "envoy_authz": rates.get("envoy_authz", 0.0)}, "exact", "envoy_authz", 2.5),
            _against("denied / Envoy + ext_authz denying", denied, "exact", "envoy_authz", 2.5),
            _against("forward auth / the proxy's exact, decisions/s", asked, "forward_auth",
                     "sidecar_exact", 1.5),
            _against("unmetered / Envoy plain, requests/s", rates, "unmetered", "envoy", 1.2),
            _against("SSE events/s / Envoy plain", events, "unmetered", "envoy", 1.0),
            _against("SSE at a steady pace, events per core second / Envoy plain", single,
                     "unmetered", "envoy", 1.0),
            _against("p50 added without contention, ms", added, "exact", None, 1.0, at_least=False),
            _against("p99 at half load / Envoy + ext_authz", half, "exact", "envoy_authz", 1.0,
                     at_least=False),
            _against("KiB an idle stream", idle, "unmetered", None, 10.0, at_least=False),
            _against("idle stream / Envoy", idle, "unmetered", "envoy", 0.3, at_least=False),
            _against("10 MB bodies down / Envoy plain", down, "unmetered", "envoy", 0.9),
            _against("10 MB bodies up / Envoy plain", up, "unmetered", "envoy", 0.9),
            _against("start to ready, ms", begun[1], "exact", None, 400.0, at_least=False),
            _against("start to ready on two cores, ms", begun[2], "exact", None, 400.0,
                     at_least=False),
            _against("base RSS, MB", weight, "exact", None, 60.0, at_least=False),
        ]  # fmt: skip
        return [row for row in rows if row.pure is not None or row.compiled is not None]

    def write(self, folder: Path) -> None:
        """Write results.json, results.md and the charts."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "results.json").write_text(json.dumps(asdict(self), indent=1) + "\n")
        (folder / "results.md").write_text(self.markdown())
        few = min((row.connections for row in self.throughput), default=0)
        rows = [
            (row.title, row.rate, row.peer.startswith(_OURS))
            for row in sorted(self.throughput, key=lambda row: -row.rate)
            if row.connections == few
        ]
        if rows:
            title = f"Requests per second on one core, {few} connections"
            (folder / "throughput.svg").write_text(chart.bars(title, rows, "/s"))
        if self.latency:
            (folder / "latency.svg").write_text(self._latency_chart())

    def markdown(self) -> str:
        """Return the tables."""
        parts = ["<!-- written by `make bench` -->\n"]
        parts.append(_table(
            ("target", "bound", "these sources", "", "compiled", ""),
            [
                (row.name, f"{'>=' if row.at_least else '<='} {row.bound:g}",
                 *_told(row, row.pure), *_told(row, row.compiled))
                for row in self.targets()
            ],
        ))  # fmt: skip
        for rows, what in (
            (self.throughput, "requests/s"),
            (self.alone, "requests/s"),
            (self.denied, "denied/s"),
            (self.doors, "requests/s"),
        ):
            parts.append(_table(
                ("system", "connections", what, "p50 ms", "p99 ms", "CPU us each", "errors"),
                [
                    (x.title, str(x.connections), f"{x.rate:,.0f}", f"{x.p50 * 1e3:.2f}",
                     f"{x.p99 * 1e3:.2f}", f"{x.cpu * 1e6:.0f}",
                     "" if rows is self.denied else str(x.errors))
                    for x in rows
                ],
            ))  # fmt: skip
        parts.append(_table(
            ("system", "share of capacity", "offered/s", "p50 ms", "p99 ms", "lost"),
            [
                (x.title, f"{x.share:.0%}", f"{x.rate:,.0f}", f"{x.p50 * 1e3:.2f}",
                 f"{x.p99 * 1e3:.2f}", str(x.lost))
                for x in self.latency
            ],
        ))  # fmt: skip
        parts.append(_table(
            ("system", "streams", "offered/s", "events/s", "CPU us each", "first event ms"),
            [(x.title, str(x.streams), f"{x.offered:,}" if x.offered else "all",
              f"{x.rate:,.0f}", f"{x.cpu * 1e6:.2f}", f"{x.first * 1e3:.1f}")
             for x in self.streaming],
        ))  # fmt: skip
        parts.append(_table(
            ("system", "idle streams", "KiB each", "RSS before, MB"),
            [(x.title, str(x.streams), f"{x.each / 1024:.1f}", f"{x.base / 1e6:.0f}")
             for x in self.idle],
        ))  # fmt: skip
        parts.append(_table(
            ("system", "10 MB down, MB/s", "10 MB up, MB/s"),
            [(x.title, f"{x.down:,.0f}", f"{x.up:,.0f}") for x in self.bodies],
        ))  # fmt: skip
        parts.append(_table(
            ("system", "cores", "start to ready, ms", "base RSS, MB"),
            [
                (x.title, str(x.cores), f"{x.seconds * 1e3:.0f}", f"{x.resident / 1e6:.1f}")
                for x in self.startup
            ],
        ))  # fmt: skip
        parts.append(_table(
            ("workers, on two cores with the load", "requests/s", "cores that they used"),
            [(str(x.workers), f"{x.rate:,.0f}", f"{x.cores:.2f}") for x in self.workers],
        ))  # fmt: skip
        parts.append(_table(
            ("beside", "calls", "quiet p50 ms", "quiet p99 ms", "p99 ms", "ratio",
             "slowest probe ms", "peak RSS MiB", "loop lag p99 ms", "failed", ""),
            [
                (x.attack, x.calls, f"{x.quiet_p50 * 1e3:.2f}", f"{x.quiet_p99 * 1e3:.2f}",
                 f"{x.p99 * 1e3:.2f}", f"{x.ratio:.1f}", f"{x.probe * 1e3:.0f}",
                 f"{x.peak / 2**20:.0f}", f"{x.lag * 1e3:.1f}", str(x.failed),
                 "met" if x.met else "missed")
                for x in self.isolation
            ],
        ))  # fmt: skip
        return "\n".join(part for part in parts if part)

    def _latency_chart(self) -> str:
        peers = dict.fromkeys((row.peer, row.title) for row in self.latency)
        series = [
            (title, [(row.share * 100, row.p99 * 1e3) for row in self.latency if row.peer == peer])
            for peer, title in peers
        ]
        return chart.lines("p99 latency over offered load", series, "% of own capacity", "ms")


def _against(
    name: str,
    values: Mapping[str, float],
    ours: str,
    other: str | None,
    bound: float,
    *,
    at_least: bool = True,
) -> Target:
    """Compare both builds of ours with another system, or with nothing but the bound."""

    def reached(build: str) -> float | None:
        peer, beside = f"{_OURS}_{ours}{build}", other
        if other is not None and other.startswith(_OURS):  # another way of ours, of the same build
            beside = f"{other}{build}"
        if peer not in values or (beside is not None and not values.get(beside)):
            return None
        return values[peer] / (1.0 if beside is None else values[beside])

    return Target(name, reached(""), reached(COMPILED), bound, at_least)


def _told(row: Target, reached: float | None) -> tuple[str, str]:
    if reached is None:
        return "", ""
    met = reached >= row.bound if row.at_least else reached <= row.bound
    return f"{reached:.2f}", "met" if met else "missed"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
