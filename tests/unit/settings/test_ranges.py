"""Numbers, durations and words: what is read, and what is said of the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.settings.ranges import duration, optional_duration, show_seconds, whole, word
from sidecar.settings.sections import LogFormat


@pytest.mark.parametrize("text", ["0", "11", "100", "x", "-1", ""])
def test_a_whole_number_stays_in_its_range(text: str) -> None:
    """Below, above, or no number at all."""
    with pytest.raises(ValueError, match="1 to 10"):
        whole(1, 10)(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("10s", 10), ("2m", 120), ("1h", 3600), ("25", 25), ("0.5", 0.5)],
)  # fmt: skip
def test_a_duration_has_a_unit_or_is_seconds(text: str, seconds: float) -> None:
    """The same forms as in the policy file."""
    assert duration(0, 3600)(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "-1", "1d", "1 s", "s", "1e3", "nan", "inf", "99s"])
def test_other_text_is_no_duration(text: str) -> None:
    """Nor is one out of range."""
    with pytest.raises(ValueError, match=r"duration|out of range"):
        duration(0, 60)(text)


def test_an_optional_duration_may_be_none() -> None:
    """For a bound that is off; a mistake says so."""
    assert optional_duration(0, 60)("none") is None
    assert optional_duration(0, 60)("1m") == 60
    with pytest.raises(ValueError, match=r"^is not a duration: .*, or none for no limit$"):
        optional_duration(0, 60)("never")


def test_a_word_is_taken_in_any_case() -> None:
    """As people write them."""
    assert word(LogFormat)("JSON") is LogFormat.JSON
    with pytest.raises(ValueError, match=r"^is unknown: give json or text$"):
        word(LogFormat)("xml")


def test_a_parser_says_what_it_allows() -> None:
    """For the help and the docs."""
    parsers = (whole(1, 10), duration(0.1, 60), optional_duration(0, 60), word(LogFormat))
    assert [parser.allowed for parser in parsers] == [
        "1 to 10", "100ms to 60s", "0s to 60s, or none", "json or text",
    ]  # fmt: skip


@given(st.floats(0.001, 9999).map(lambda seconds: round(seconds, 3)))
def test_a_shown_duration_is_close_when_read_back(seconds: float) -> None:
    """Defaults in the docs can be pasted."""
    assert duration(0, 1e4)(show_seconds(seconds)) == pytest.approx(seconds, rel=1e-4)
