"""A clock that stands still until a test turns it."""

from __future__ import annotations


class TurnedClock:
    """A `Clock` turned by hand: `advance` moves both of its readings together."""

    def __init__(self, now: float = 1_760_000_000.0) -> None:
        """Start at `now`, Unix seconds; `monotonic` starts at nought."""
        self._start = now
        self._elapsed = 0.0

    def monotonic(self) -> float:
        """Seconds turned since the clock was made."""
        return self._elapsed

    def time(self) -> float:
        """Unix seconds."""
        return self._start + self._elapsed

    def advance(self, seconds: float) -> None:
        """Turn the clock forward; ValueError when asked to turn it back."""
        if seconds < 0:
            raise ValueError(f"a clock turns forward: advance({seconds}) would turn it back")
        self._elapsed += seconds
