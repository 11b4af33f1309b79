"""What a path pattern may be."""

from __future__ import annotations

import pytest

from sidecar.policy.patterns import parse_pattern


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("/", ()),
        ("/a", ("a",)),
        ("/a/", ("a",)),
        ("/**", ("**",)),
        ("/a/*/b/**", ("a", "*", "b", "**")),
        ("/models/x:generate", ("models", "x:generate")),
        ("/søk/a b", ("søk", "a b")),
    ],
)
def test_patterns(text: str, segments: tuple[str, ...]) -> None:
    """Literals are plain characters; a trailing slash means nothing."""
    assert parse_pattern(text).segments == segments


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("api", "start with"), ("", "start with"), ("/a;b", "parameters"), ("/a?b", "query"),
        ("/a#b", "fragment"), ("/a%20b", "decoded"), ("/a\\b", "backslash"), ("/a//b", "empty"),
        ("//", "empty"), ("/a/./b", "dot segment"), ("/..", "dot segment"), ("/a*", "whole"),
        ("/***", "whole"), ("/**/**", "twice"), ("/a.", "end in a dot"), ("/a /b", "end in a dot"),
        ("/a\x00", "control"),
    ],
)  # fmt: skip
def test_bad_patterns(text: str, why: str) -> None:
    """What could never match, or not as it looks, is refused with the reason."""
    with pytest.raises(ValueError, match=why):
        parse_pattern(text)


def test_folded() -> None:
    """Case is folded as Unicode has it."""
    assert parse_pattern("/API/Straße/*").folded() == ("api", "strasse", "*")
