"""The load: wrk, pinned to the load core, and what it reports."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.processes import LOAD_CORE

_UNITS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


@dataclass(frozen=True, slots=True)
class Reading:
    """One run of the load; latencies in seconds."""

    rate: float
    p50: float
    p99: float
    errors: int


def run_wrk(url: str, script: Path, *, connections: int, seconds: int) -> Reading:
    """Load `url` in a closed loop; answers that are not 2xx or 3xx count as errors."""
    command = [
        "taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s",
        "--latency", "--timeout", "10s", "-s", str(script), url,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=True)
    return parse_wrk(done.stdout)


def parse_wrk(text: str) -> Reading:
    """Read wrk's report."""
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if rate is None:
        raise ValueError(f"wrk reported no rate:\n{text}")
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = re.search(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text
    )
    errors = int(failed[1]) if failed else 0
    errors += sum(map(int, broken.groups())) if broken else 0
    return Reading(float(rate[1]), _latency(text, "50%"), _latency(text, "99%"), errors)


def _latency(text: str, quantile: str) -> float:
    found = re.search(rf"\s{quantile}\s+([\d.]+)(us|ms|s|m)\b", text)
    if found is None:
        raise ValueError(f"wrk reported no {quantile} latency:\n{text}")
    return float(found[1]) * _UNITS[found[2]]
