"""How many bytes of request bodies a process may hold: its part of what its container may use.

A process over its memory limit is killed, and every call on it with it. What the limit leaves
after the processes themselves is divided between the workers; half of that is for bodies, the rest
for connections, the kernel's socket buffers and copies on their way.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Final

from sidecar.domain.share import Share
from sidecar.proxy.body_memory import DEFAULT

log = logging.getLogger("sidecar.app")

PROCESS: Final = 64 * 1024 * 1024
"""What a process takes without a body: measured, and rounded up."""

LEAST: Final = 8 * 1024 * 1024
"""A process gets this much in any case."""

_PART: Final = 2
_NO_LIMIT: Final = 1 << 60
"""cgroup v1 writes "no limit" as a number beyond this one."""


def body_memory(setting: int | None, share: Share, root: Path = Path("/")) -> int:
    """Return this process's bound: its part of the setting, else of the container's limit."""
    if setting is not None:
        return setting // share.of
    limit = container_limit(root)
    if limit is None:
        return DEFAULT
    left = limit - PROCESS * processes(share.of)
    bound = left // (_PART * share.of)
    if bound < LEAST:
        log.warning(
            "memory_short",
            extra={
                "memory_limit": limit,
                "workers": share.of,
                "memory_wanted": PROCESS * processes(share.of) + LEAST * _PART * share.of,
                "fix": "raise the container's memory limit, or run fewer --workers",
            },
        )
    return min(DEFAULT, max(LEAST, bound))


def processes(workers: int) -> int:
    """Return how many processes a sidecar has: several workers have a parent."""
    return workers if workers == 1 else workers + 1


def container_limit(root: Path = Path("/")) -> int | None:
    """Return the least memory limit of this process's cgroup and of those around it.

    Reads cgroup v2 (`memory.max`) and v1 (`memory.limit_in_bytes`). In a container the path in
    /proc/self/cgroup may be the host's, of which only the top is mounted: what is not there is
    passed over.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text("ascii", "replace").splitlines()
    except OSError:
        return None  # not Linux
    found: list[int] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            found += _limits(root / "sys/fs/cgroup", path, "memory.max")
        elif "memory" in controllers.split(","):
            found += _limits(root / "sys/fs/cgroup/memory", path, "memory.limit_in_bytes")
    return min(found, default=None)


def _limits(mount: Path, path: str, file: str) -> list[int]:
    found = []
    folder = mount / path.lstrip("/")
    while folder.is_relative_to(mount):
        with contextlib.suppress(OSError, ValueError):  # not there, or "max"
            value = int((folder / file).read_text("ascii"))
            if value < _NO_LIMIT:
                found.append(value)
        folder = folder.parent
    return found
