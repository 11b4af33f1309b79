"""Events per second, time to the first event, and memory of an idle stream."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tests.bench import stubs as stub
from tests.bench.peer import Peer, Running
from tests.bench.processes import (
    LOAD_CORE,
    cpu_seconds,
    free_port,
    resident_bytes,
    running,
)
from tests.bench.work import OPENAI_PATH, Work, make_work

_ROOT: Final = Path(__file__).resolve().parents[2]
_STREAMS: Final = [sys.executable, "-m", "tests.bench.streams"]


_PLAIN: Final = b"GET /api/stream HTTP/1.1\r\nHost: a.example\r\n\r\n"


PACED: Final = 20_000
"""Events a second, over all streams, where each is one write: as models write them."""


@dataclass(frozen=True, slots=True)
class Streaming:
    """One system with a number of streams: events a second, seconds to the first (medians).

    `offered`: events a second over all streams, one a write; 0: as many as pass, sixteen a write.
    `cpu`: seconds of the system's own processor time an event.
    """

    peer: str
    title: str
    streams: int
    offered: int
    rate: float
    first: float
    cpu: float


@dataclass(frozen=True, slots=True)
class IdleMemory:
    """Resident bytes that one held stream takes, and of the system before there were any."""

    peer: str
    title: str
    streams: int
    each: float
    base: float


@dataclass(frozen=True, slots=True)
class _Streams:
    """The stubs with a product that streams, and the requests that ask for it."""

    stubs: stub.Stubs
    plain: Path
    metered: Path

    def request(self, peer: Peer) -> Path:
        """Return what a peer is asked with: a chat completion with its token where it meters."""
        return self.metered if peer.path == OPENAI_PATH else self.plain


def _requests(work: Work, folder: Path) -> tuple[Path, Path]:
    plain, metered = folder / "plain.http", folder / "metered.http"
    plain.write_bytes(_PLAIN)
    asking = replace(work, body=work.body[:-1] + b',"stream":true}')
    metered.write_bytes(asking.raw_request(OPENAI_PATH))
    return plain, metered


@contextlib.contextmanager
def _product(folder: Path) -> Iterator[_Streams]:
    """Run the platform stub, and a product that streams."""
    ports = stub.reserve()
    work = make_work(ports.issuer)
    product = free_port()
    env = {"PYTHONPATH": str(_ROOT)}
    with (
        stub.started(ports, work, folder),
        running(
            [*_STREAMS, "serve", str(product)],
            core=LOAD_CORE, port=product, log=folder / "streams.log", env=env,
        ),
    ):  # fmt: skip
        yield _Streams(replace(ports, upstream=product), *_requests(work, folder))


def measure_events(
    peers: Sequence[Peer],
    folder: Path,
    *,
    streams: int,
    offered: int,
    rounds: int,
    seconds: float,
) -> list[Streaming]:
    """Count events through each peer in turn, `rounds` times over."""
    found: dict[str, list[dict[str, float]]] = {peer.name: [] for peer in peers}
    with _product(folder) as behind:
        for _ in range(rounds):
            for peer in peers:
                with peer.run(behind.stubs, folder) as system:
                    reading = _count(system, behind.request(peer), streams, offered, seconds)
                    found[peer.name].append(reading)
                print(
                    f"  {peer.title:<32} {streams:>4} {reading['rate']:>10,.0f} events/s"
                    f" {reading['cpu'] * 1e6:>6.2f} us",
                    flush=True,
                )

    def median(peer: Peer, what: str) -> float:
        return statistics.median(each[what] for each in found[peer.name])

    return [
        Streaming(
            peer.name, peer.title, streams, offered,
            rate=median(peer, "rate"), first=median(peer, "first"), cpu=median(peer, "cpu"),
        )
        for peer in peers
    ]  # fmt: skip


def _count(
    system: Running, request: Path, streams: int, offered: int, seconds: float
) -> dict[str, float]:
    """Read events for `seconds`, once all streams have begun, and time the system meanwhile."""
    command = [
        "taskset", "-c", LOAD_CORE, *_STREAMS,
        "count", str(system.port), str(request), str(streams), str(seconds), str(offered),
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT) as counter:
        assert counter.stdout is not None
        if counter.stdout.readline().strip() != "counting":
            raise RuntimeError(f"{streams} streams did not begin on port {system.port}")
        before = cpu_seconds(system.pid)
        reading: dict[str, float] = json.loads(counter.stdout.readline())
        reading["cpu"] = (cpu_seconds(system.pid) - before) / max(reading["events"], 1.0)
        counter.wait(30)
    return reading


def measure_idle(peers: Sequence[Peer], folder: Path, *, streams: int) -> list[IdleMemory]:
    """Hold `streams` streams open through each peer and look at its memory."""
    found = []
    with _product(folder) as behind:
        for peer in peers:
            request = behind.request(peer)
            with peer.run(behind.stubs, folder) as system:
                _hold(system.port, request, 50)  # buffers, caches and code that any stream brings
                base = resident_bytes(system.pid)
                grown = _hold(
                    system.port, request, streams, lambda pid=system.pid: resident_bytes(pid)
                )
                each = (grown - base) / streams
                found.append(IdleMemory(peer.name, peer.title, streams, each, base))
                print(f"  {peer.title:<32} {each / 1024:>8.1f} KiB a stream", flush=True)
    return found


def _hold(port: int, request: Path, streams: int, look: object = None) -> int:
    """Hold streams open; return what `look` returns meanwhile, 0 without one."""
    command = [
        "taskset", "-c", LOAD_CORE, *_STREAMS, "hold", str(port), str(request), str(streams),
    ]  # fmt: skip
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        if holder.stdout.readline().strip() != "held":
            raise RuntimeError(f"{streams} streams could not be opened on port {port}")
        seen = int(look()) if callable(look) else 0
        holder.stdin.close()
        holder.wait(30)
    return seen
