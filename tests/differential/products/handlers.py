"""What the handlers of every product do: count themselves and say in a field which one ran."""

from __future__ import annotations

import json
import threading
from collections import Counter

RAN: Counter[str] = Counter()
_LOCK = threading.Lock()

EVERY = ["GET", "POST", "PUT", "DELETE", "PATCH"]


def run(name: str) -> dict[str, str]:
    """Count a run of a handler; return the fields of its answer."""
    with _LOCK:
        RAN[name] += 1
    return {"X-Ran": name}


def counts() -> str:
    """Return what has run, as JSON: the answer to `/ran`."""
    return json.dumps(RAN)
