"""Counts, models and paths: what is not one counts as not named."""

from __future__ import annotations

import pytest

from sidecar.usage.answer_format import MAX_COUNT, count_of, follow, model_of, parts_of


@pytest.mark.parametrize("value", [-1, 1.0, True, "1", None, [], MAX_COUNT + 1])
def test_nonsense_is_no_count(value: object) -> None:
    """A count is a whole number."""
    assert count_of(value) is None


@pytest.mark.parametrize("value", ["", "m" * 257, 5, None, {}])
def test_nonsense_is_no_model(value: object) -> None:
    """A model's name is a short text."""
    assert model_of(value) is None


def test_a_path_leads_through_objects_and_arrays() -> None:
    """And to nothing where there is nothing."""
    document = {"a": [{"b": 5}], "0": 6}
    paths = [("a", "0", "b"), ("0",), ("a", "1"), ("a", "-1"), ("a", "²"), ("a", "0", "b", "c")]
    assert [follow(document, path) for path in paths] == [5, 6, None, None, None, None]


def test_a_whole_is_divided_and_never_exceeded() -> None:
    """Whatever its parts say."""
    assert parts_of(10, 4, 3) == (3, 4, 3)
    assert parts_of(10, 8, 5) == (0, 8, 2)
    assert parts_of(None, 8, 5) == (0, 0, 0)
