"""Ports for programs that cannot choose one themselves (`--port 0`)."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
from collections.abc import Iterator
from functools import cache
from typing import Final

_PORTS: Final = range(12_000, 32_000)
"""Below what systems give to clients and to port 0, so that no other test gets it meanwhile."""

_EACH: Final = 100
"""Of them a process has so many: another worker, and another run beside this one, has others."""


def free_port() -> int:
    """Return a port that no process listens on, and that no other process of tests is given."""
    for port in itertools.islice(_ours(), _EACH):
        with contextlib.closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise AssertionError("no port of this process is free")


@cache
def _ours() -> Iterator[int]:
    """Take the first ports that no other process has: the first of them, bound, says so."""
    blocks = range(_PORTS.start, _PORTS.stop, _EACH)
    for number in range(len(blocks)):
        begin = blocks[(os.getpid() + number) % len(blocks)]
        claim = socket.socket()
        with contextlib.suppress(OSError):
            claim.bind(("127.0.0.1", begin))
            claim.detach()  # bound as long as this process lives
            return itertools.cycle(range(begin + 1, begin + _EACH))
        claim.close()
    raise AssertionError(f"no {_EACH} ports of {_PORTS} are free")
