from __future__ import annotations

import logging

import pytest

from sidecar.app.draining import log_draining


@pytest.mark.parametrize(
    ("requests", "seconds", "lines"), [(3, 25.0, 1), (0, 25.0, 0), (3, 0.0, 0)]
)
def test_what_a_stop_waits_for_is_logged(
    caplog: pytest.LogCaptureFixture, requests: int, seconds: float, lines: int
) -> None:
    """With its bound, and how to stop at once; a stop that waits for nothing says nothing."""
    with caplog.at_level(logging.INFO, "sidecar"):
        log_draining(requests, seconds)
    found = [(each.message, each.__dict__["requests"]) for each in caplog.records]
    assert found == [("draining", requests)] * lines
    assert all("Ctrl-C" in each.__dict__["hint"] for each in caplog.records)
