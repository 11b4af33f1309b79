"""What a command line's words become."""

from __future__ import annotations

import argparse

import pytest

from sidecar.commands.arguments import count, header, json_object, typed, webhook_id


def test_a_mistake_names_what_was_typed() -> None:
    """Cut, where it is long."""
    with pytest.raises(argparse.ArgumentTypeError, match=r"^'x{80}' is not a whole number from 1$"):
        typed(count)("x" * 5000)


def test_a_value_is_that_of_the_parser() -> None:
    """As it is."""
    assert typed(count)("7") == 7


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "²", "", "9" * 20])
def test_a_count_is_a_whole_number_from_1(text: str) -> None:
    """As JSON can carry it."""
    with pytest.raises(ValueError, match="is not a whole number from 1"):
        count(text)


def test_an_object_is_one_of_json() -> None:
    """Anything else has no names to override."""
    assert json_object('{"plan": null}') == {"plan": None}
    for text in ("[1]", "plan=pro", "7", '"x"', "", '{"a": NaN}', "[" * 100_000):
        with pytest.raises(ValueError, match="is not a JSON object"):
            json_object(text)


def test_a_header_is_a_name_and_a_value() -> None:
    """The name in lower case, both without the space around them."""
    assert header("X-Name : a: b ") == (b"x-name", b"a: b")
    for text in ("nothing", ": value", " : value"):
        with pytest.raises(ValueError, match="is not 'Name: value'"):
            header(text)


def test_an_id_is_no_dots() -> None:
    """It becomes a part of a path."""
    assert webhook_id("wh_1") == "wh_1"
    for text in ("", ".", ".."):
        with pytest.raises(ValueError, match="is no ID"):
            webhook_id(text)
