"""Durations as the policy writes them: `250ms`, `1s`, `2m`, `1h`, or plain seconds."""

from __future__ import annotations

import re
from typing import Final

PATTERN: Final = r"^[0-9]{1,9}(\.[0-9]{1,9})?(ms|s|m|h)$"
_DURATION: Final = re.compile(PATTERN)
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(value: object) -> float:
    """Return seconds. Raises ValueError for what is neither a duration nor a number."""
    if isinstance(value, str) and (found := _DURATION.fullmatch(value)):
        unit = found[2]
        return round(float(value.removesuffix(unit)) * _SECONDS[unit], 9)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise ValueError(f"{value!r} is not a duration: write 250ms, 1s, 2m or plain seconds")
