"""What was measured, part by part, as JSON, Markdown and charts, with the goals beside it."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.bench import chart
from tests.bench.bodies import Bodies
from tests.bench.capacity import Capacity
from tests.bench.goals import GOALS, HEAD, Figures
from tests.bench.isolation import Isolation
from tests.bench.latency import Latency
from tests.bench.loads import LOADS
from tests.bench.startup import Startup
from tests.bench.streaming import IdleMemory, Streaming
from tests.bench.throughput import Throughput
from tests.bench.workers import Workers

_OURS: Final = "sidecar"


_ROWS: Final[Mapping[str, Callable[..., object]]] = {
    "latency": Latency, "capacity": Capacity, "streaming": Streaming, "idle": IdleMemory,
    "bodies": Bodies, "workers": Workers, "startup": Startup, "isolation": Isolation,
}  # fmt: skip


@dataclass(slots=True)
class Report:
    """The last results of each part; a part that was never measured is empty.

    `measured` says of a part when that was, and with which Python.
    """

    measured: dict[str, str] = field(default_factory=dict)
    loads: dict[str, list[Throughput]] = field(default_factory=dict)
    latency: list[Latency] = field(default_factory=list)
    capacity: list[Capacity] = field(default_factory=list)
    streaming: list[Streaming] = field(default_factory=list)
    idle: list[IdleMemory] = field(default_factory=list)
    bodies: list[Bodies] = field(default_factory=list)
    workers: list[Workers] = field(default_factory=list)
    startup: list[Startup] = field(default_factory=list)
    isolation: list[Isolation] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path) -> Report:
        """Read what earlier runs wrote; what this one measures replaces its part alone."""
        file = folder / "results.json"
        if not file.exists():
            return cls()
        found: dict[str, Any] = json.loads(file.read_text())
        rows: dict[str, Any] = {
            part: [kind(**row) for row in found.get(part, [])] for part, kind in _ROWS.items()
        }
        loads = {
            part: [Throughput(**row) for row in part_rows]
            for part, part_rows in found.get("loads", {}).items()
        }
        return cls(measured=found.get("measured", {}), loads=loads, **rows)

    def note(self, part: str) -> None:
        """Remember that a part was measured now."""
        today = datetime.now(UTC).date().isoformat()
        self.measured[part] = f"{today}, Python {platform.python_version()}"

    def replace_streaming(self, rows: Sequence[Streaming]) -> None:
        """Take new rows of streams; those of other peers, and of other streams, stay."""
        new = {(row.peer, row.streams, row.offered) for row in rows}
        kept = [row for row in self.streaming if (row.peer, row.streams, row.offered) not in new]
        self.streaming = [*kept, *rows]

    def figures(self) -> Figures:
        """Return what the goals compare. Each figure's peers were measured in one run."""
        found: dict[str, dict[str, float]] = {
            part: {row.peer: row.rate for row in reversed(rows)}  # the fewest connections last
            for part, rows in self.loads.items()
        }
        for part, figure in (("alone", "added"), ("alone_tls", "added_tls")):
            alone = {row.peer: row.p50 * 1e3 for row in self.loads.get(part, [])}
            below = alone.pop("product", 0.0) + alone.pop("platform", 0.0)
            found[figure] = {peer: p50 - below for peer, p50 in alone.items()}
        for row in self.streaming:
            if row.offered == 0:
                found.setdefault(f"poured_{row.streams}", {})[row.peer] = row.rate
            elif row.cpu:
                found.setdefault(f"paced_{row.streams}", {})[row.peer] = 1 / row.cpu
                found.setdefault(f"event_{row.streams}", {})[row.peer] = row.cpu * 1e6
        for start in self.startup:
            found.setdefault(f"start_{start.cores}", {})[start.peer] = start.seconds * 1e3
        return found | {
            "half": {row.peer: row.p99 for row in self.latency if row.share == 0.5},
            "half_tls": {row.peer: row.half_p99 for row in self.capacity},
            "idle": {row.peer: row.each / 1024 for row in self.idle},
            "down": {row.peer: row.down for row in self.bodies},
            "up": {row.peer: row.up for row in self.bodies},
            "resident": {row.peer: row.resident / 2**20 for row in self.startup},
        }

    def write(self, folder: Path) -> None:
        """Write results.json, results.md and the charts."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "results.json").write_text(json.dumps(asdict(self), indent=1) + "\n")
        (folder / "results.md").write_text(self.markdown())
        rates = self.loads.get("throughput", [])
        few = min((row.connections for row in rates), default=0)
        rows = [
            (row.title, row.rate, row.peer.startswith(_OURS))
            for row in sorted(rates, key=lambda row: -row.rate)
            if row.connections == few
        ]
        if rows:
            title = f"Requests per second on one core, {few} connections"
            (folder / "throughput.svg").write_text(chart.bars(title, rows, "/s"))
        if self.latency:
            (folder / "latency.svg").write_text(self._latency_chart())

    def markdown(self) -> str:
        """Return the goals, and a table for each part."""
        figures = self.figures()
        goals = [row for goal in GOALS if (row := goal.row(figures)) is not None]
        parts = ["<!-- written by `make bench` -->\n", _table(HEAD, goals)]
        parts += [self._load_table(part) for part in LOADS if self.loads.get(part)]
        parts.append(self._section(
            "latency", "Latency at a share of each system's own capacity",
            ("system", "share of capacity", "offered/s", "p50 ms", "p99 ms", "lost"),
            [
                (x.title, f"{x.share:.0%}", f"{x.rate:,.0f}", f"{x.p50 * 1e3:.2f}",
                 f"{x.p99 * 1e3:.2f}", str(x.lost))
                for x in self.latency
            ],
        ))  # fmt: skip
        parts.append(self._section(
            "capacity", "The highest rate in an open loop, by p99",
            ("system", "closed loop/s", "p99 at half of it, ms", "under 1 ms", "under 5 ms",
             "under 10 ms"),
            [
                (x.title, f"{x.closed:,.0f}", f"{x.half_p99 * 1e3:.2f}", f"{x.under_1ms:,.0f}",
                 f"{x.under_5ms:,.0f}", f"{x.under_10ms:,.0f}")
                for x in self.capacity
            ],
        ))  # fmt: skip
        parts.append(self._section(
            "streaming", "Events of streams",
            ("system", "streams", "offered/s", "events/s", "CPU us each", "first event ms"),
            [(x.title, str(x.streams), f"{x.offered:,}" if x.offered else "all",
              f"{x.rate:,.0f}", f"{x.cpu * 1e6:.2f}", f"{x.first * 1e3:.1f}")
             for x in self.streaming],
        ))  # fmt: skip
        parts.append(self._section(
            "idle", "Memory of an idle stream",
            ("system", "idle streams", "KiB each", "RSS before, MB"),
            [(x.title, str(x.streams), f"{x.each / 1024:.1f}", f"{x.base / 1e6:.0f}")
             for x in self.idle],
        ))  # fmt: skip
        parts.append(self._section(
            "bodies", "Large bodies",
            ("system", "10 MB down, MB/s", "10 MB up, MB/s"),
            [(x.title, f"{x.down:,.0f}", f"{x.up:,.0f}") for x in self.bodies],
        ))  # fmt: skip
        parts.append(self._section(
            "startup", "Start",
            ("system", "cores", "start to ready, ms", "base RSS, MB"),
            [
                (x.title, str(x.cores), f"{x.seconds * 1e3:.0f}", f"{x.resident / 1e6:.1f}")
                for x in self.startup
            ],
        ))  # fmt: skip
        parts.append(self._section(
            "workers", "Workers",
            ("workers, on two cores with the load", "requests/s", "cores that they used"),
            [(str(x.workers), f"{x.rate:,.0f}", f"{x.cores:.2f}") for x in self.workers],
        ))  # fmt: skip
        parts.append(self._section(
            "isolation", "Honest callers beside attacks",
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

    def _load_table(self, part: str) -> str:
        load = LOADS[part]
        return self._section(
            part, load.title,
            ("system", "connections", "denied/s" if load.refuse else "requests/s", "p50 ms",
             "p99 ms", "user + system us each", "errors"),
            [
                (x.title, str(x.connections), f"{x.rate:,.0f}", f"{x.p50 * 1e3:.2f}",
                 f"{x.p99 * 1e3:.2f}", _times(x), "" if load.refuse else str(x.errors))
                for x in self.loads[part]
            ],
        )  # fmt: skip

    def _section(
        self, part: str, title: str, head: Sequence[str], rows: Sequence[Sequence[str]]
    ) -> str:
        if not rows:
            return ""
        when = f" ({self.measured[part]})" if part in self.measured else ""
        return f"## {title}\n\n`{part}`{when}\n\n{_table(head, rows)}"

    def _latency_chart(self) -> str:
        peers = dict.fromkeys((row.peer, row.title) for row in self.latency)
        series = [
            (title, [(row.share * 100, row.p99 * 1e3) for row in self.latency if row.peer == peer])
            for peer, title in peers
        ]
        return chart.lines("p99 latency over offered load", series, "% of own capacity", "ms")


def _times(row: Throughput) -> str:
    if not row.system:  # results from before the two were measured separately
        return f"{row.cpu * 1e6:.0f}"
    return f"{(row.cpu - row.system) * 1e6:.0f} + {row.system * 1e6:.0f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
