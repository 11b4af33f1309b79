"""Processes that the benchmarks start: pinned to a core, waited for, ended by pid."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

SYSTEM_CORE: Final = "0"
LOAD_CORE: Final = "1"
BOTH_CORES: Final = "0,1"
_START_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 10.0


def free_port() -> int:
    """Return a port of the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(
    command: Sequence[str | Path],
    *,
    core: str,
    port: int,
    log: Path,
    env: dict[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server on `core` until the block ends; wait first until its port answers."""
    pinned = ["taskset", "-c", core, *map(str, command)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            pinned, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}
        )
    try:
        _wait_for(port, process, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    tail = log.read_text(errors="replace")[-2000:]
    raise RuntimeError(f"nothing listens on port {port}; {log} ends with:\n{tail}")


def resident_bytes(pid: int) -> int:
    """Return a process's resident memory, its children's included."""
    total = 0
    for each in [pid, *_children(pid)]:
        with contextlib.suppress(FileNotFoundError):
            pages = int(Path(f"/proc/{each}/statm").read_text().split()[1])
            total += pages * os.sysconf("SC_PAGE_SIZE")
    return total


def peak_bytes(pid: int) -> int:
    """Return the most memory that a process had resident since `forget_peak`."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def forget_peak(pid: int) -> None:
    """Let the peak of a process's resident memory begin again."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def cpu_times(*pids: int) -> tuple[float, float]:
    """Return the user and the system time that processes and their children have used."""
    user = system = 0
    for each in [one for pid in pids for one in (pid, *_children(pid))]:
        with contextlib.suppress(FileNotFoundError):
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            user += int(fields[11])
            system += int(fields[12])
    ticks = os.sysconf("SC_CLK_TCK")
    return user / ticks, system / ticks


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process and its children have used."""
    return sum(cpu_times(pid))


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(FileNotFoundError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError):
                for child in map(int, (task / "children").read_text().split()):
                    found += [child, *_children(child)]
    return found
