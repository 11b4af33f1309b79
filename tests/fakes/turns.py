"""Turns at the loop without a clock, for tests that count iterations."""

from __future__ import annotations

import itertools

from sidecar.domain.turns import turns


def spend_a_budget_each() -> None:
    """Let each slice of the running loop's work take a whole budget: one in an iteration."""
    turns()._clock = itertools.count().__next__
