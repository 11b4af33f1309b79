"""The log line at the start of a drain: how many requests a stop waits for."""

from __future__ import annotations

import logging
from typing import Final

_log = logging.getLogger("sidecar.app")

_HINT: Final = "Ctrl-C or SIGTERM again stops now"


def log_draining(requests: int, seconds: float) -> None:
    """Log what is waited for, and for how long at most; nothing where nothing is waited for."""
    if requests and seconds:
        extra = {"requests": requests, "seconds": seconds, "hint": _HINT}
        _log.info("draining", extra=extra)
