"""The trace that a request belongs to, by its `traceparent` (W3C Trace Context, level 1). Pure."""

from __future__ import annotations

import re
from typing import Final

from sidecar.domain.model import Headers

_TRACEPARENT: Final = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-"
)


def trace_fields(headers: Headers) -> dict[str, str]:
    """Return `trace_id` for a line of the log; nothing where there is none, or more than one."""
    found = [value for name, value in headers if name == b"traceparent"]
    match = _TRACEPARENT.match(found[0]) if len(found) == 1 else None
    return {} if match is None else {"trace_id": match.group(1).decode("ascii")}
