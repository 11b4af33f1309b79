"""Signals of a process that has not begun to serve."""

from __future__ import annotations

import signal
import sys


def end_on_sigterm() -> None:
    """End on SIGTERM until the event loop has a handler: process 1 of a container has no default.

    SIGHUP is ignored: the policy is about to be read anyway.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
