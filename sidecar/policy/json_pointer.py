"""Pointers into a JSON document (RFC 6901), and what is found where they point."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MAX_TOKENS: Final = 64
"""Steps of a pointer; a body is read to twice that depth."""

_TOKEN_ESCAPE: Final = re.compile(r"~[01]")
_BAD_ESCAPE: Final = re.compile(r"~(?![01])")


@dataclass(frozen=True, slots=True)
class Missing:
    """Nothing is where the pointer points."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The body cannot be read, or not in one way only; `detail` says why."""

    detail: str


@dataclass(frozen=True, slots=True)
class Array:
    """An array of so many elements."""

    length: int


@dataclass(frozen=True, slots=True)
class Opaque:
    """A value whose content is not read: an object, or a text too long to be a name."""


JsonValue = int | float | str | bool | Array | Opaque | None
"""What a pointer points at; None is `null`."""

PointerResult = JsonValue | Missing | Unreadable


@dataclass(frozen=True, slots=True)
class JsonPointer:
    """A parsed pointer: the keys and indexes on the way from the document's root."""

    text: str
    tokens: tuple[str, ...]

    @classmethod
    def to(cls, *tokens: str) -> JsonPointer:
        """Return the pointer of these keys and indexes."""
        escaped = (token.replace("~", "~0").replace("/", "~1") for token in tokens)
        return cls("".join(f"/{token}" for token in escaped), tokens)

    @classmethod
    def parse(cls, text: str) -> JsonPointer:
        """Parse `/a/b~1c/0`. Raises ValueError for what RFC 6901 does not allow.

        The empty pointer (the whole document) is refused as well: no amount is a whole body.
        """
        if not text.startswith("/"):
            raise ValueError(f"JSON pointer {text!r} must start with '/'")
        if _BAD_ESCAPE.search(text):
            raise ValueError(f"JSON pointer {text!r} has a '~' that is not '~0' or '~1'")
        tokens = tuple(
            _TOKEN_ESCAPE.sub(lambda m: "~" if m[0] == "~0" else "/", token)
            for token in text[1:].split("/")
        )
        if len(tokens) > MAX_TOKENS:
            raise ValueError(f"JSON pointer of {len(tokens)} steps has more than {MAX_TOKENS}")
        return cls(text, tokens)
