"""What the processes of one sidecar use, from /proc: the figures that every dashboard knows.

Several processes are one sidecar: CPU seconds, memory and descriptors add up, and the start time is
that of the one that answers, the parent. The CPU of a worker that has ended is counted in its
parent's figures for its children, so that the sum never goes backwards. Memory that processes share
is counted once for each.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from typing_extensions import override

_PROC: Final = Path("/proc")
_OWN, _CHILDREN = (11, 12), (13, 14)
"""User and system time in /proc/PID/stat, behind the command's name: its own, and its children's
that have been waited for."""
_STARTED, _VIRTUAL, _RESIDENT = 19, 20, 21


class ProcessFigures(Collector):
    """The `process_*` metrics of this process, and of `workers` with it."""

    def __init__(self, workers: Callable[[], Iterable[int]] | None = None) -> None:
        """Take what returns the workers' process IDs; None for a sidecar of one process."""
        self._workers = workers
        self._ticks = os.sysconf("SC_CLK_TCK")
        self._page = os.sysconf("SC_PAGE_SIZE")

    @override
    def collect(self) -> Iterator[Family]:
        """Read the figures. Without an `await`: no worker can be waited for in between."""
        own = _stat(os.getpid())
        boot = _boot_time()
        if own is None or boot is None:  # no /proc: another system
            return
        pids = [] if self._workers is None else list(self._workers())
        stats = [own, *(stat for stat in map(_stat, pids) if stat is not None)]
        ticks = sum(int(stat[at]) for stat in stats for at in _OWN)
        if self._workers is not None:
            ticks += sum(int(own[at]) for at in _CHILDREN)
        yield CounterMetricFamily(
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.",
            value=ticks / self._ticks,
        )
        files = [_files(pid) for pid in (os.getpid(), *pids)]
        virtual, resident = (sum(int(stat[at]) for stat in stats) for at in (_VIRTUAL, _RESIDENT))
        start = boot + int(own[_STARTED]) / self._ticks
        opened, most = (sum(counts) for counts in zip(*files, strict=True))
        for name, text, value in (
            ("process_virtual_memory_bytes", "Virtual memory size in bytes.", virtual),
            (
                "process_resident_memory_bytes",
                "Resident memory size in bytes.",
                resident * self._page,
            ),
            (
                "process_start_time_seconds",
                "Start time of the process since unix epoch in seconds.",
                start,
            ),
            ("process_open_fds", "Number of open file descriptors.", opened),
            ("process_max_fds", "Maximum number of open file descriptors.", most),
        ):
            yield GaugeMetricFamily(name, text, value=value)


def _stat(pid: int) -> list[bytes] | None:
    """Read the fields of /proc/PID/stat behind the command's name; None for no such process."""
    try:
        return (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None


def _boot_time() -> float | None:
    try:
        lines = (_PROC / "stat").read_bytes().splitlines()
    except OSError:
        return None
    return next((float(line.split()[1]) for line in lines if line.startswith(b"btime ")), None)


def _files(pid: int) -> tuple[int, float]:
    """Return how many files a process has open and may have open; none of one that is gone."""
    folder = _PROC / str(pid)
    try:
        # Since Linux 6.2 the folder's size is their number; before, it is 0 and they are listed.
        count = (folder / "fd").stat().st_size or len(os.listdir(folder / "fd"))  # noqa: PTH208
        limits = (folder / "limits").read_bytes().splitlines()
    except OSError:
        return 0, 0.0
    limit = next((line.split()[3] for line in limits if line.startswith(b"Max open file")), b"0")
    return count, float("inf") if limit == b"unlimited" else float(limit)
