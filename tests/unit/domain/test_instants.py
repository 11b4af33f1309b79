"""Instants as they are written everywhere."""

from __future__ import annotations

from sidecar.domain.instants import utc_text


def test_times_are_written_in_utc() -> None:
    """Unix seconds become ISO 8601 with a final Z."""
    assert utc_text(1_760_000_000.0) == "2025-10-09T08:53:20Z"
    assert utc_text(1_760_000_000.125, "auto") == "2025-10-09T08:53:20.125000Z"
