"""The highest rate of an open loop at which a system keeps its p99 under 1, 5 and 10 ms.

A system's capacity is read from a closed loop; then the rate rises in steps of 5 % of it. The
highest step counts whose p99 is under the bound and which has lost no request.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench import stubs as stub
from tests.bench.latency import offer_each
from tests.bench.load import run_wrk
from tests.bench.peer import Peer
from tests.bench.work import make_work

_SHARES: Final = tuple(step / 20 for step in range(2, 23))
_STEPS_A_ROUND: Final = 8
"""A step takes this part of a round's seconds."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """One system, medians of the rounds: requests a second, and seconds."""

    peer: str
    title: str
    closed: float
    half_p99: float
    under_1ms: float
    under_5ms: float
    under_10ms: float


@dataclass(frozen=True, slots=True)
class _Ramp:
    closed: float
    steps: tuple[Mapping[str, float], ...]

    def p99_at(self, share: float) -> float:
        return self.steps[_SHARES.index(share)]["p99"]

    def highest(self, bound: float) -> float:
        """Return the highest rate with a p99 under `bound`, 0 where there is none."""
        kept = (
            share * self.closed
            for share, step in zip(_SHARES, self.steps, strict=True)
            if step["ok"] == step["sent"] and step["p99"] < bound
        )
        return max(kept, default=0.0)


def measure(
    peers: Sequence[Peer], product: Peer, folder: Path, *, rounds: int, seconds: int
) -> list[Capacity]:
    """Raise the rate of each peer in turn, `rounds` times over.

    `product` is offered what the fastest peer takes: its row is the limit of the load itself.
    """
    ports = stub.reserve()
    work = make_work(ports.issuer)
    ramps: dict[str, list[_Ramp]] = {peer.name: [] for peer in (*peers, product)}
    script, request = work.wrk_script(folder, {}), folder / "request.raw"
    request.write_bytes(work.raw_request())
    with stub.started(ports, work, folder):
        for _ in range(rounds):
            most = 0.0
            for peer in (*peers, product):
                with peer.run(ports, folder) as running:
                    url = f"http://127.0.0.1:{running.port}{peer.path}"
                    closed = run_wrk(url, script, connections=32, seconds=1).rate
                    if peer is product:
                        closed = most
                    most = max(most, closed)
                    rates = [share * closed for share in _SHARES]
                    steps = offer_each(running.port, request, rates, seconds / _STEPS_A_ROUND)
                ramp = _Ramp(closed, tuple(steps))
                ramps[peer.name].append(ramp)
                print(
                    f"  {peer.title:<46} {ramp.closed:>8,.0f}/s, p99 under 1, 5, 10 ms:"
                    f" {ramp.highest(0.001):,.0f}, {ramp.highest(0.005):,.0f},"
                    f" {ramp.highest(0.010):,.0f}/s",
                    flush=True,
                )
    return [_median(peer, ramps[peer.name]) for peer in (*peers, product)]


def _median(peer: Peer, ramps: Sequence[_Ramp]) -> Capacity:
    return Capacity(
        peer.name,
        peer.title,
        statistics.median(ramp.closed for ramp in ramps),
        statistics.median(ramp.p99_at(0.5) for ramp in ramps),
        *(
            statistics.median(ramp.highest(bound) for ramp in ramps)
            for bound in (0.001, 0.005, 0.01)
        ),
    )
