"""What was measured, as JSON, Markdown and charts, with the targets beside it."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from tests.bench import chart
from tests.bench.bodies import Bodies
from tests.bench.latency import Latency
from tests.bench.startup import Startup
from tests.bench.streaming import IdleMemory, Streaming
from tests.bench.throughput import Throughput

_OURS: Final = "sidecar"


@dataclass(slots=True)
class Report:
    """All results of one session; a part that was not asked for stays empty."""

    python: str = platform.python_version()
    throughput: list[Throughput] = field(default_factory=list)
    denied: list[Throughput] = field(default_factory=list)
    latency: list[Latency] = field(default_factory=list)
    streaming: list[Streaming] = field(default_factory=list)
    idle: list[IdleMemory] = field(default_factory=list)
    bodies: list[Bodies] = field(default_factory=list)
    startup: Startup | None = None

    def targets(self) -> list[tuple[str, float, float, bool]]:
        """Return each target that can be told: name, what was reached, the bound, and if met."""
        rows: list[tuple[str, float | None, float, bool]] = [
            (
                "exact / Envoy + ext_authz, requests/s",
                self._rate("exact", "envoy_authz"),
                1.5,
                True,
            ),
            ("exact / aiohttp proxy, requests/s", self._rate("exact", "aiohttp"), 5.0, True),
            ("denied / Envoy + ext_authz, requests/s", self._denied(), 2.5, True),
            ("unmetered / Envoy plain, requests/s", self._rate("unmetered", "envoy"), 1.2, True),
            ("SSE events/s / Envoy plain", self._events(), 1.0, True),
            ("p99 at half load / Envoy + ext_authz", self._half_load(), 1.0, False),
            ("KiB an idle stream", self._idle("sidecar_unmetered"), 10.0, False),
            ("idle stream / Envoy", self._idle_ratio(), 0.3, False),
            ("10 MB bodies down / Envoy plain", self._bodies("down"), 0.9, True),
            ("10 MB bodies up / Envoy plain", self._bodies("up"), 0.9, True),
        ]
        if self.startup is not None:
            rows.append(("start to ready, ms", self.startup.seconds * 1e3, 400.0, False))
            rows.append(("base RSS, MB", self.startup.resident / 1e6, 60.0, False))
        return [
            (name, reached, bound, reached >= bound if at_least else reached <= bound)
            for name, reached, bound, at_least in rows
            if reached is not None
        ]

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
            ("target", "reached", "bound", ""),
            [
                (name, f"{reached:.2f}", f"{bound:g}", "met" if met else "missed")
                for name, reached, bound, met in self.targets()
            ],
        ))  # fmt: skip
        for rows, what in ((self.throughput, "requests/s"), (self.denied, "denied/s")):
            parts.append(_table(
                ("system", "connections", what, "p50 ms", "p99 ms", "errors"),
                [
                    (x.title, str(x.connections), f"{x.rate:,.0f}", f"{x.p50 * 1e3:.2f}",
                     f"{x.p99 * 1e3:.2f}", str(x.errors))
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
            ("system", "streams", "events/s", "first event ms"),
            [(x.title, str(x.streams), f"{x.rate:,.0f}", f"{x.first * 1e3:.1f}")
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
        return "\n".join(part for part in parts if part)

    def _latency_chart(self) -> str:
        peers = dict.fromkeys((row.peer, row.title) for row in self.latency)
        series = [
            (title, [(row.share * 100, row.p99 * 1e3) for row in self.latency if row.peer == peer])
            for peer, title in peers
        ]
        return chart.lines("p99 latency over offered load", series, "% of own capacity", "ms")

    def _rate(self, ours: str, other: str) -> float | None:
        return _ratio(self.throughput, f"{_OURS}_{ours}", other)

    def _denied(self) -> float | None:
        if not self.denied or not self.throughput:
            return None
        both = [*self.denied, *(row for row in self.throughput if row.peer == "envoy_authz")]
        return _ratio(both, "sidecar_exact", "envoy_authz")

    def _events(self) -> float | None:
        return _ratio(self.streaming, "sidecar_unmetered", "envoy")

    def _half_load(self) -> float | None:
        half = {row.peer: row.p99 for row in self.latency if row.share == 0.5}
        return _quotient(half, "sidecar_exact", "envoy_authz")

    def _idle(self, peer: str) -> float | None:
        found = [row.each / 1024 for row in self.idle if row.peer == peer]
        return found[-1] if found else None

    def _idle_ratio(self) -> float | None:
        last = {row.peer: row.each for row in self.idle}
        return _quotient(last, "sidecar_unmetered", "envoy")

    def _bodies(self, way: str) -> float | None:
        return _quotient(
            {row.peer: float(getattr(row, way)) for row in self.bodies},
            "sidecar_unmetered",
            "envoy",
        )


def _ratio(rows: Sequence[Throughput] | Sequence[Streaming], ours: str, other: str) -> float | None:
    """Return the ratio of the first rates of two peers: the smallest number of connections."""
    rates: dict[str, float] = {}
    for row in rows:
        rates.setdefault(row.peer, row.rate)
    return _quotient(rates, ours, other)


def _quotient(values: dict[str, float], ours: str, other: str) -> float | None:
    if ours not in values or not values.get(other):
        return None
    return values[ours] / values[other]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
