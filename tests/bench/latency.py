"""Latency at a constant rate, as a share of each system's own capacity."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from tests.bench import stubs as stub
from tests.bench.peer import Peer
from tests.bench.processes import LOAD_CORE
from tests.bench.work import make_work

_ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Latency:
    """One system at one offered load: medians of the rounds, in seconds."""

    peer: str
    title: str
    share: float
    rate: float
    p50: float
    p99: float
    lost: int


def measure(
    peers: Sequence[Peer],
    rates: Mapping[str, float],
    folder: Path,
    *,
    shares: Sequence[float],
    rounds: int,
    seconds: float,
) -> list[Latency]:
    """Offer each peer `shares` of its rate in `rates`, in turn, `rounds` times over.

    A peer named "direct" is the product itself: what a system adds is its latency less that.
    """
    ports = stub.reserve()
    work = make_work(ports.issuer)
    request = folder / "request.raw"
    request.write_bytes(work.raw_request())
    found: dict[tuple[str, float], list[dict[str, float]]] = {}
    with stub.started(ports, work, folder):
        for _ in range(rounds):
            for peer in peers:
                with peer.run(ports, folder) as running:
                    offer(running.port, request, rates[peer.name] * 0.25, 1.0)
                    for share in shares:
                        rate = rates[peer.name] * share
                        reading = offer(running.port, request, rate, seconds)
                        found.setdefault((peer.name, share), []).append(reading)
    return [
        Latency(
            peer.name,
            peer.title,
            share,
            rates[peer.name] * share,
            statistics.median(each["p50"] for each in found[peer.name, share]),
            statistics.median(each["p99"] for each in found[peer.name, share]),
            int(sum(each["sent"] - each["ok"] for each in found[peer.name, share])),
        )
        for peer in peers
        for share in shares
    ]


@cache
def _at_once() -> tuple[str, ...]:
    """Return the words that let the load run as soon as it is due, where that is allowed.

    It shares its core with product and platform. Waiting for its turn there took up to 4 ms, which
    was all that could be seen of a p99.
    """
    words = ("chrt", "--fifo", "10")
    with contextlib.suppress(OSError):
        if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
            return words
    print("bench: no real-time priority for the load: p99 is that of its core, too", flush=True)
    return ()


def offer(
    port: int, request: Path, rate: float, seconds: float, *, connections: int = 64
) -> dict[str, float]:
    """Offer a constant rate from the load core; return what came of it."""
    return offer_each(port, request, [rate], seconds, connections=connections)[0]


def offer_each(
    port: int, request: Path, rates: Sequence[float], seconds: float, *, connections: int = 64
) -> list[dict[str, float]]:
    """Offer one rate after the other, each for `seconds`."""
    command = [
        *_at_once(), "taskset", "-c", LOAD_CORE, sys.executable, "-m", "tests.bench.openloop",
        "--port", str(port), "--request", str(request), "--rate", *map(str, rates),
        "--seconds", str(seconds), "--connections", str(connections),
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=(seconds + 12) * len(rates) + 48,
        check=True, cwd=_ROOT,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]
