"""How many files this process may have open, and how many clients that leaves room for.

Each client takes one descriptor, and one more at the product while its call is under way. The rest
belongs to the admin port, the platform and the files: were clients to take it, probes would be
refused and the process restarted.
"""

from __future__ import annotations

import contextlib
import logging
import resource
from dataclasses import replace
from typing import Final, NamedTuple

from sidecar.settings.sections import Limits

log = logging.getLogger("sidecar.app")

OWN: Final = 128
"""Kept for the platform (64 connections), the admin port, Redis, readings of the policy, files."""

BACKLOG: Final = 4096
"""Connections that may wait to be accepted: a burst waits in the kernel."""

_LEAST_BACKLOG: Final = 16
_BURST_SHARE: Final = 8


_WHERE_HARD_IS_TOO_MUCH: Final = (65_536, 10_240)
"""Tried where the system refuses its own hard limit: macOS has "unlimited" and takes 10,240."""


class Room(NamedTuple):
    """What the limit leaves room for. All that waits to be accepted may be accepted at once."""

    limits: Limits
    backlog: int


def raise_limit() -> None:
    """Raise the soft limit to the hard one; worker processes inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard, *_WHERE_HARD_IS_TOO_MUCH):
        if wanted == hard or (hard == resource.RLIM_INFINITY and soft < wanted):
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
                return


def room_for(limits: Limits) -> Room:
    """Fit the cap of connections into the limit as it is now; one warning where it is lowered."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return Room(limits, BACKLOG)
    room = fitted(limits, allowed)
    if room.limits.max_connections < limits.max_connections:
        log.warning(
            "open_files_short",
            extra={
                "setting": "--max-connections",
                "wanted": limits.max_connections,
                "in_force": room.limits.max_connections,
                "open_files_limit": allowed,
                "open_files_wanted": _wanted(limits),
                "hint": "raise the hard limit of open files (ulimit -Hn, LimitNOFILE, the"
                " container runtime's), or set --max-connections to what is in force",
            },
        )
    return room


def fitted(limits: Limits, allowed: int) -> Room:
    """Fit the cap of connections into `allowed` open files."""
    backlog = max(_LEAST_BACKLOG, min(BACKLOG, (allowed - OWN) // _BURST_SHARE))
    left = max(0, allowed - OWN - backlog)
    fits = max(1, left - min(limits.max_inflight, left // 2))
    upstream = limits.upstream_connections
    if (upstream or limits.max_inflight) > fits:
        upstream = fits
    return Room(
        replace(
            limits,
            max_connections=min(limits.max_connections, fits),
            upstream_connections=upstream,
        ),
        backlog,
    )


def _wanted(limits: Limits) -> int:
    """Say how many open files would be enough for the settings."""
    connections = limits.max_connections
    return OWN + BACKLOG + connections + min(connections, limits.max_inflight)
