from __future__ import annotations

import logging

from sidecar.telemetry.repeats import RepeatFilter
from tests.fakes.clock import TurnedClock


def record(event: str, level: int = logging.WARNING, **extra: object) -> logging.LogRecord:
    """A record of ours with fields."""
    return logging.makeLogRecord({"name": "sidecar.x", "msg": event, "levelno": level, **extra})


def test_the_first_of_an_event_passes() -> None:
    """At once."""
    assert RepeatFilter(TurnedClock().monotonic).filter(record("down"))


def test_the_same_event_within_10_s_is_held_back() -> None:
    """Counted, not written."""
    clock = TurnedClock()
    repeats = RepeatFilter(clock.monotonic)
    assert repeats.filter(record("down", problem="x"))
    clock.advance(9.9)
    assert not repeats.filter(record("down", problem="x"))


def test_the_next_one_says_how_many_were_held_back() -> None:
    """Nothing is lost but the words."""
    clock = TurnedClock()
    repeats = RepeatFilter(clock.monotonic)
    for _ in range(5):
        repeats.filter(record("down"))
    clock.advance(10.0)
    again = record("down")
    assert repeats.filter(again)
    assert again.__dict__["held_back"] == 4


def test_a_quiet_event_says_nothing_of_holding_back() -> None:
    """Only when some were."""
    clock = TurnedClock()
    repeats = RepeatFilter(clock.monotonic)
    repeats.filter(record("down"))
    clock.advance(10.0)
    again = record("down")
    repeats.filter(again)
    assert "held_back" not in again.__dict__


def test_other_fields_are_another_event() -> None:
    """Two orgs that fail open are two pieces of news."""
    repeats = RepeatFilter(TurnedClock().monotonic)
    assert repeats.filter(record("fail_open_started", org="a"))
    assert repeats.filter(record("fail_open_started", org="b"))


def test_numbers_do_not_make_another_event() -> None:
    """A growing count is the same news."""
    repeats = RepeatFilter(TurnedClock().monotonic)
    assert repeats.filter(record("down", tries=1))
    assert not repeats.filter(record("down", tries=2))


def test_a_repeat_key_decides_alone() -> None:
    """Where a text varies that does not matter, below WARNING too."""
    repeats = RepeatFilter(TurnedClock().monotonic)
    assert repeats.filter(record("told", logging.INFO, repeat_key="k", detail="a"))
    assert not repeats.filter(record("told", logging.INFO, repeat_key="k", detail="b"))


def test_ordinary_news_always_passes() -> None:
    """Two ports are two lines."""
    repeats = RepeatFilter(TurnedClock().monotonic)
    assert repeats.filter(record("listening", logging.INFO))
    assert repeats.filter(record("listening", logging.INFO))


def test_what_is_remembered_is_bounded() -> None:
    """An org's name may be in the key."""
    repeats = RepeatFilter(TurnedClock().monotonic)
    for number in range(5000):
        repeats.filter(record("down", org=str(number)))
    assert len(repeats._seen) == 1024
