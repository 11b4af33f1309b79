"""Whether one caller or dependency slows the others: their p99 quiet and under attack, in one run.

For each attack a sidecar starts with its usual limits. Honest callers call a metered and an
unmetered route at a steady pace, first alone and then beside the attack. The attacker runs on the
load core with the lowest priority: the little time that it takes there is part of the ratio.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench import stubs as stub
from tests.bench.attacked import Prober, Setting, Sidecar, attacking, run_attacked
from tests.bench.attacks import CONSTANT, MOST_CONNECTIONS, ROUTES, WEBHOOK
from tests.bench.latency import offer
from tests.bench.processes import forget_peak, peak_bytes
from tests.bench.work import Work, make_work

_RATE: Final = 200.0
"""Requests a second of the honest callers, on each of their two routes."""

_CONNECTIONS: Final = 8
_LAG: Final = "bb_sidecar_loop_lag_seconds"
LEAST_P99: Final = 0.002
"""Seconds: a quiet p99 below this counts as this much, as one wait for the processor already is."""

MOST_RATIO: Final = 3.0
MOST_PROBE: Final = 1.0
MOST_BYTES: Final = 256 * 1024 * 1024


_SETTINGS: Final = (
    Setting("json wide", "1 MiB of JSON, a wide list, 10 at once"),
    Setting("json repeated", "1 MiB of JSON, a repeated key, 10 at once"),
    Setting("json deep", "1 MiB of JSON, nested deeply, 10 at once"),
    Setting("json keys", "1 MiB of JSON, many keys, 10 at once"),
    Setting("json escapes", "1 MiB of JSON, all escapes, 10 at once"),
    Setting("bombs", "gzip bombs at the metered route, 10 at once"),
    Setting("admin bombs", "gzip bombs of 1 MB at the admin port, 40 at once"),
    Setting("admin bodies", "1 MiB bodies at the admin port, 10 at once"),
    Setting("scrapes", f"scrapes with {ROUTES:,} routes, 4 at once", routes=ROUTES),
    Setting("unfinished", "140 unfinished bodies of 1 MiB"),
    Setting("stalled", "500 stalled bodies"),
    Setting("fields", "90 fresh header fields a request, 10 at once"),
    Setting("cookies", "3,000 cookies a request, 10 at once"),
    Setting("tokens", "a fresh invalid token a request, 10 at once"),
    Setting("trickle", "1,000 trickling strangers at the webhook path",
             ("--webhook-url", f"https://notes.example.com{WEBHOOK}")),
    Setting("flood", "new connections without end, 64 at once"),
    Setting("idle", "idle connections up to the cap",
             ("--max-connections", str(MOST_CONNECTIONS))),
    Setting("metered", "64 metered calls, and a platform that hangs", platform="hangs"),
    Setting("metered", "64 metered calls, and a platform without an address",
             platform="unresolved"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Isolation:
    """The honest callers of one route beside one attack; seconds and bytes.

    `probe`: the slowest `GET /health`; `failed`: honest calls that got no 2xx.
    """

    attack: str
    calls: str
    quiet_p50: float
    quiet_p99: float
    p99: float
    ratio: float
    probe: float
    peak: int
    lag: float
    failed: int
    most_bytes: int = MOST_BYTES

    @property
    def met(self) -> bool:
        """Whether ratio, probes and memory are within their targets."""
        return (
            self.ratio <= MOST_RATIO
            and self.probe <= MOST_PROBE
            and self.peak <= self.most_bytes
            and not self.failed
        )


def ratio_of(quiet: float, attacked: float) -> float:
    """Return by how much a p99 grew; a quiet one below `LEAST_P99` counts as that."""
    return attacked / max(quiet, LEAST_P99)


def read_buckets(metrics: str, name: str) -> dict[float, float]:
    """Return a histogram's cumulative counts by upper bound."""
    found = re.findall(rf'^{name}_bucket\{{le="([^"]+)"\}} (\S+)$', metrics, re.MULTILINE)
    return {float(bound): float(count) for bound, count in found}


def quantile(before: Mapping[float, float], after: Mapping[float, float], share: float) -> float:
    """Return a quantile of what was observed in between, as Prometheus does: linear in a bucket.

    In the last bucket it is the highest bound that there is; 0 where nothing was observed.
    """
    counts = {bound: after[bound] - before.get(bound, 0.0) for bound in sorted(after)}
    wanted = share * max(counts.values(), default=0.0)
    below, beneath = 0.0, 0.0
    for bound, count in counts.items():
        if count >= wanted and count > beneath:
            if bound == float("inf"):
                return below
            return below + (bound - below) * (wanted - beneath) / (count - beneath)
        below, beneath = bound, count
    return 0.0


def measure(folder: Path, *, seconds: int, compiled: bool) -> list[Isolation]:
    """Run every attack in turn, with as many quiet `seconds` before each as beside it."""
    ports = stub.reserve()
    work = make_work(ports.issuer)
    found: list[Isolation] = []
    with stub.started(ports, work, folder), _platforms(ports) as platforms:
        bench = _Bench(
            folder, ports, platforms, work.token, _honest(folder, work), seconds, compiled
        )
        for setting in _SETTINGS:
            rows = bench.run(setting)
            for row in rows:
                print(
                    f"  {row.attack:<52} {row.calls:<10} {row.quiet_p99 * 1e3:>7.2f} ms"
                    f" {row.p99 * 1e3:>8.2f} ms {row.ratio:>6.1f} probe {row.probe * 1e3:>6.0f} ms"
                    f" {row.peak / 2**20:>5.0f} MiB lag {row.lag * 1e3:>6.1f} ms"
                    f" failed {row.failed}",
                    flush=True,
                )
            found += rows
    return found


def _honest(folder: Path, work: Work) -> dict[str, Path]:
    """Write the honest callers' requests; return the files by what is called."""
    found = {}
    for calls, path in (("metered", CONSTANT), ("unmetered", "/page")):
        fields = {**work.fields, "Content-Length": str(len(work.body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        found[calls] = folder / f"{calls}.raw"
        found[calls].write_bytes(f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + work.body)
    return found


@contextlib.contextmanager
def _platforms(ports: stub.Stubs) -> Iterator[dict[str, str]]:
    """Yield URLs of a platform that answers, one that never does, and one without an address."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(4096)  # the kernel accepts, and nothing answers
        yield {
            "answers": ports.platform_url,
            "hangs": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "unresolved": "http://platform.invalid",
        }


def _load(port: int, requests: Mapping[str, Path], seconds: float) -> dict[str, dict[str, float]]:
    """Let the honest callers of every route call at once; return what came of each."""
    with ThreadPoolExecutor(len(requests)) as pool:
        jobs = {
            calls: pool.submit(offer, port, file, _RATE, seconds, connections=_CONNECTIONS)
            for calls, file in requests.items()
        }
        return {calls: job.result() for calls, job in jobs.items()}


@dataclass(frozen=True, slots=True)
class _Bench:
    """What all attacks have in common."""

    folder: Path
    ports: stub.Stubs
    platforms: Mapping[str, str]
    token: str
    requests: Mapping[str, Path]
    seconds: int
    compiled: bool

    def run(self, setting: Setting) -> list[Isolation]:
        """Measure one attack; where the platform itself fails, the unmetered calls only."""
        requests = dict(self.requests)
        if setting.platform != "answers":
            del requests["metered"]
        with self._sidecar(setting, "answers") as sidecar:
            _load(sidecar.port, requests, 1.0)
            quiet = _load(sidecar.port, requests, self.seconds)
            if setting.platform == "answers":
                return self._beside(setting, sidecar, quiet)
        with self._sidecar(setting, setting.platform) as sidecar:
            _load(sidecar.port, requests, 1.0)
            return self._beside(setting, sidecar, quiet)

    def _sidecar(
        self, setting: Setting, platform: str
    ) -> contextlib.AbstractContextManager[Sidecar]:
        url = self.platforms[platform]
        return run_attacked(setting, url, self.ports, self.folder, compiled=self.compiled)

    def _beside(
        self, setting: Setting, sidecar: Sidecar, quiet: Mapping[str, Mapping[str, float]]
    ) -> list[Isolation]:
        requests = {calls: self.requests[calls] for calls in quiet}
        before = read_buckets(sidecar.get("/metrics"), _LAG)
        forget_peak(sidecar.pid)
        prober = Prober(sidecar)
        prober.start()
        with attacking(setting, sidecar, self.token):
            attacked = _load(sidecar.port, requests, self.seconds)
            probe = prober.end()
        peak = peak_bytes(sidecar.pid)
        lag = quantile(before, read_buckets(sidecar.get("/metrics"), _LAG), 0.99)
        return [
            Isolation(
                setting.title, calls, quiet[calls]["p50"], quiet[calls]["p99"], p99,
                ratio_of(quiet[calls]["p99"], p99), probe, peak, lag, int(now["sent"] - now["ok"]),
            )
            for calls, now in attacked.items()
            for p99 in (now["p99"] or float(self.seconds),)  # no answer in all that time
        ]  # fmt: skip
