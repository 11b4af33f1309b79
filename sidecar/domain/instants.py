"""How instants are written: ISO 8601 in UTC, with a final Z. Pure."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_text(seconds: float, precision: str = "seconds") -> str:
    """Write Unix seconds; `precision` as in `isoformat`; "auto" drops nothing.

    Raises OverflowError, ValueError or OSError beyond the calendar.
    """
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")
