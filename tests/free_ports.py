"""Ports for programs that cannot choose one themselves (`--port 0`)."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
from typing import Final

_FIRST: Final = 12_000
"""Below what systems give to clients and to port 0, so that no other test gets it meanwhile."""

_EACH: Final = 1_000
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 16
_begin = _FIRST + _worker * _EACH
_numbers = itertools.cycle(_begin + (os.getpid() + number) % _EACH for number in range(_EACH))
"""Another run of the tests beside this one most likely begins elsewhere."""


def free_port() -> int:
    """Return a port that no process listens on, and no other worker of pytest is given."""
    for port in itertools.islice(_numbers, _EACH):
        with contextlib.closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise AssertionError(f"no free port from {_begin}")
