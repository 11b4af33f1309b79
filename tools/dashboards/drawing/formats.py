"""Numbers as Grafana writes them, by the units that these dashboards use."""

from __future__ import annotations

import time
from typing import Final

_LARGE: Final = ((1e9, "Bil"), (1e6, "Mil"), (1e3, "K"))
_BYTES: Final = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
_TIMES: Final = (
    (365 * 86400.0, "year"), (30 * 86400.0, "month"), (7 * 86400.0, "week"), (86400.0, "day"),
    (3600.0, "hour"), (60.0, "minute"), (1.0, "second"),
)  # fmt: skip


def shown(value: float, unit: str, now: float) -> str:
    """Write a value with its unit; `now` in Unix seconds, for what is relative to it.

    Raises ValueError for a unit that no panel used so far.
    """
    match unit:
        case "short":
            return _large(value)
        case "percentunit":
            return f"{_plain(value * 100)}%"
        case "s":
            return _seconds(value)
        case "dtdurations":
            return _duration(value)
        case "bytes":
            return _scaled(value, _BYTES, "B")
        case "reqps":
            return f"{_large(value)} req/s"
        case "cps":
            return f"{_large(value)} c/s"
        case "dateTimeFromNow":
            return _from_now(value / 1000 - now)
        case _:
            raise ValueError(f"unit {unit!r}: teach formats.shown to write it")


def clock(when: float) -> str:
    """Write a time of the day, UTC."""
    return time.strftime("%H:%M:%S", time.gmtime(when))


def _plain(value: float) -> str:
    size = abs(value)
    digits = 0 if size >= 100 or value == int(value) else 1 if size >= 10 else 2
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _large(value: float) -> str:
    for factor, name in _LARGE:
        if abs(value) >= factor:
            return f"{_plain(value / factor)} {name}"
    return _plain(value) if abs(value) >= 0.01 or value == 0 else f"{value:.1g}"


def _scaled(value: float, steps: tuple[tuple[int, str], ...], least: str) -> str:
    for factor, name in steps:
        if abs(value) >= factor:
            return f"{_plain(value / factor)} {name}"
    return f"{_plain(value)} {least}"


def _seconds(value: float) -> str:
    size = abs(value)
    if size == 0:
        return "0 s"
    if size < 1e-3:
        return f"{_plain(value * 1e6)} µs"
    if size < 1:
        return f"{_plain(value * 1e3)} ms"
    for least, factor, name in ((86400, 86400, "d"), (3600, 3600, "h"), (60, 60, "min")):
        if size >= least:
            return f"{_plain(value / factor)} {name}"
    return f"{_plain(value)} s"


def _duration(value: float) -> str:
    """Write the two largest parts of a duration."""
    left, parts = abs(value), []
    for factor, name in _TIMES:
        count = int(left // factor)
        if count:
            parts.append(f"{count} {name}{'s' if count > 1 else ''}")
            left -= count * factor
    return ", ".join(parts[:2]) or "0 seconds"


def _from_now(seconds: float) -> str:
    if abs(seconds) < 5:
        return "now"
    rough = _duration(seconds).partition(",")[0]
    return f"in {rough}" if seconds > 0 else f"{rough} ago"
