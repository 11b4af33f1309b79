"""Types of arguments: how a command line's words become values, and what a mistake says."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

_SHOWN_CHARS: Final = 80


def typed(parse: Callable[[str], T]) -> Callable[[str], T]:
    """Make an argument's type of the parser of a setting."""

    def read(text: str) -> T:
        try:
            return parse(text)
        except ValueError as problem:
            raise argparse.ArgumentTypeError(f"{text[:_SHOWN_CHARS]!r} {problem}") from None

    return read


def count(text: str) -> int:
    """Read a whole number from 1, as JSON can carry it."""
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= len(str(2**53))) or text == "0":
        raise ValueError("is not a whole number from 1")
    return int(text)


def webhook_id(text: str) -> str:
    """Read an ID that becomes a part of a path."""
    if not text.strip("."):
        raise ValueError("is no ID: `webhooks register` shows it")
    return text


def json_object(text: str) -> dict[str, object]:
    """Read a JSON object."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ValueError("is not a JSON object")  # noqa: TRY004 - what was typed is at fault
    return value


def header(text: str) -> tuple[bytes, bytes]:
    """Read a header field; its bytes are those that were typed."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ValueError("is not 'Name: value'")
    return os.fsencode(name.strip().lower()), os.fsencode(value.strip())


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")
