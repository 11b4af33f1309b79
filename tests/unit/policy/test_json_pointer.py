"""Pointers into JSON documents."""

from __future__ import annotations

import pytest

from sidecar.policy.json_pointer import MAX_TOKENS, JsonPointer


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("/n", ("n",)),
        ("/", ("",)),
        ("/a~1b/m~0n/~01/0", ("a/b", "m~n", "~1", "0")),
        ("//", ("", "")),
    ],
)
def test_tokens(text: str, tokens: tuple[str, ...]) -> None:
    """RFC 6901, sections 3 and 4."""
    assert JsonPointer.parse(text) == JsonPointer(text, tokens)


@pytest.mark.parametrize("pointer", ["", "n", "/a~2", "/a~", "#/n"])
def test_bad_pointers(pointer: str) -> None:
    """A pointer starts with a slash, and '~' is only an escape."""
    with pytest.raises(ValueError, match="JSON pointer"):
        JsonPointer.parse(pointer)


def test_a_pointer_has_a_bounded_number_of_steps() -> None:
    """Its way stays well within the depth to which a body is read."""
    assert len(JsonPointer.parse("/a" * MAX_TOKENS).tokens) == MAX_TOKENS
    with pytest.raises(ValueError, match="has more than 64"):
        JsonPointer.parse("/a" * (MAX_TOKENS + 1))
