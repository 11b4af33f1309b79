"""What every product of tests/doors answers, so that one test fits all of them."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from typing import Any

RAN: Counter[str] = Counter()


def facts(name: str, quota: Any, headers: Iterable[tuple[Any, Any]], body: bytes) -> dict[str, Any]:
    """Count one run of a handler; return what it saw."""
    RAN[name] += 1
    identity = None if quota is None else quota.identity
    return {
        "ran": name,
        "org": identity.org_id if identity else None,
        "reason": quota.decision.reason.value if quota else None,
        "remaining": quota.quota.remaining if quota and quota.quota else None,
        "forged": [str(name) for name, _ in headers if "x-bb" in str(name).lower()],
        "request_id": quota.decision.request_id if quota else None,
        "body": len(body),
        "pid": os.getpid(),
    }


def counts() -> str:
    """Return how often each handler has run in this process."""
    return json.dumps(RAN)
