"""Parsers that know what they allow: numbers, durations, words. Their ValueError has the fix."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, TypeVar

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h)?")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Ranged(Generic[T]):
    """A parser, and what it allows, as the help says it."""

    parse: Callable[[str], T]
    allowed: str

    def __call__(self, text: str) -> T:
        """Parse a text. Raises ValueError."""
        return self.parse(text)


def whole(low: int, high: int) -> Ranged[int]:
    """Make a parser of whole numbers from `low` to `high`."""
    allowed = f"{low} to {high}"

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= len(str(high))):
            raise ValueError(f"is not a whole number from {allowed}")
        number = int(text)
        if not low <= number <= high:
            raise ValueError(f"is out of range: give a whole number from {allowed}")
        return number

    return Ranged(parse, allowed)


def duration(low: float, high: float) -> Ranged[float]:
    """Make a parser of durations in seconds, from `low` to `high`: `250ms`, `10s`, `2m`, `25`."""
    allowed = f"{show_seconds(low)} to {show_seconds(high)}"

    def parse(text: str) -> float:
        match = _DURATION.fullmatch(text)
        if match is None:
            raise ValueError("is not a duration: write it like 250ms, 10s, 2m, or plain seconds")
        seconds = float(match[1]) * _UNITS[match[2] or "s"]
        if not low <= seconds <= high:
            raise ValueError(f"is out of range: give {allowed}")
        return seconds

    return Ranged(parse, allowed)


def optional_duration(low: float, high: float) -> Ranged[float | None]:
    """Make a parser of durations that takes `none` too."""
    limited = duration(low, high)

    def parse(text: str) -> float | None:
        try:
            return None if text == "none" else limited(text)
        except ValueError as problem:
            raise ValueError(f"{problem}, or none for no limit") from None

    return Ranged(parse, f"{limited.allowed}, or none")


def word(kind: type[E]) -> Ranged[E]:
    """Make a parser of the words of an enum, in any case."""
    *others, last = kind
    allowed = f"{', '.join(others)} or {last}"

    def parse(text: str) -> E:
        try:
            return kind(text.lower())
        except ValueError:
            raise ValueError(f"is unknown: give {allowed}") from None

    return Ranged(parse, allowed)


def show_seconds(seconds: float) -> str:
    """Write a duration as `duration` reads it."""
    if 0 < seconds < 1 and math.isclose(seconds * 1000, round(seconds * 1000)):
        return f"{round(seconds * 1000)}ms"
    return f"{seconds:g}s"
