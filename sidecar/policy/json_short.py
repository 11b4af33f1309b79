"""JSON bodies that orjson reads in one go, where that must find what the reader would find.

orjson differs from the reader in repeated keys, in keys that differ only in case, in depth, in long
numbers and texts, and in surrogates. A body that could have one of these is left to the reader, and
so is each one that orjson refuses, or that would take it long.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import orjson

from sidecar.policy.json_places import INDEX
from sidecar.policy.json_pointer import Array, JsonPointer, Missing, Opaque, PointerResult
from sidecar.policy.json_text import plain

LONGEST: Final = 128 * 1024
"""Bytes: most take 0.1 ms, escapes and base64 up to 0.5."""

MOST_STRUCTURE: Final = 16 * 1024
"""Bytes outside of strings: orjson reads so many in 0.1 ms at the worst."""

_MOST_MARKS: Final = 3000
"""Quotation marks, and escapes: cutting the body at them takes up to 0.2 ms."""

_DEEPEST: Final = 128
"""Arrays and objects in each other, as for the reader."""

_ROUNDS: Final = 8
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))

_LONGEST_TEXT: Final = 1000
"""Characters that take no more than the reader's 4,096 bytes, however they are written."""

_LONGEST_BETWEEN: Final = 1000
"""Bytes between two strings: a number too long for the reader would fill them."""

_WORD: Final = re.compile(r"[A-Za-z0-9_.-]+")


class ShortReader:
    """Reads what some pointers point at; their steps must be plain words."""

    def __init__(self, pointers: Sequence[JsonPointer]) -> None:
        self._ways = tuple(pointer.tokens for pointer in pointers)
        tokens = sorted({token for way in self._ways for token in way})
        self._plain = all(_WORD.fullmatch(token) for token in tokens)
        self._keys = tuple(token.encode() for token in tokens) if self._plain else ()

    def read(self, body: bytes) -> tuple[PointerResult, ...] | None:
        """Return a finding for each pointer; None for a body that the reader has to read."""
        parts = parts_of(body)
        return None if parts is None else self.read_parts(body, parts)

    def read_parts(self, body: bytes, parts: Sequence[bytes]) -> tuple[PointerResult, ...] | None:
        """Return the same, of a body whose `parts_of` are known."""
        if not self._plain or not self._reads_alike(body, parts):
            return None
        try:
            document = orjson.loads(body)
            return tuple([_follow(document, way) for way in self._ways])
        except (orjson.JSONDecodeError, _UnclearError):
            return None

    def _reads_alike(self, body: bytes, parts: Sequence[bytes]) -> bool:
        """Say whether orjson and the reader agree on this body, where orjson can read it.

        Without an escape by number no other way of writing has a key of interest in it, so each of
        them that is repeated is found twice.
        """
        if b"\\" in body and b"\\u" in body:  # the first is found faster
            return False
        for key in self._keys:
            if parts.count(key) > 1:
                return False
        between = parts[::2]
        structure = b"".join(between)
        return (
            len(structure) <= MOST_STRUCTURE
            and max(map(len, between)) <= _LONGEST_BETWEEN
            and _is_shallow(structure)
        )


def parts_of(body: bytes) -> list[bytes] | None:
    """Cut a body at its quotation marks: every second part is a string.

    None for one that is not to be read in one go, and where the last string has no end.
    """
    if len(body) > LONGEST:
        return None
    data = body
    if b"\\" in body:
        if body.count(b"\\") > _MOST_MARKS:
            return None
        data, hanging = plain(body)
        if hanging:
            return None
    parts = data.split(b'"', _MOST_MARKS)
    return parts if len(parts) % 2 and len(parts) < _MOST_MARKS else None


def _is_shallow(structure: bytes) -> bool:
    """Say whether no array or object is surely deeper than the reader goes."""
    brackets = structure.translate(None, _NO_BRACKETS)
    for _ in range(_ROUNDS):
        if len(brackets) <= _DEEPEST:
            return True
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")  # the innermost of each
    return len(brackets) <= _DEEPEST


class _UnclearError(Exception):
    """What is found is for the reader to judge."""


def _follow(document: object, way: Sequence[str]) -> PointerResult:
    """Follow a pointer. Raises _UnclearError where orjson may have read it in another way."""
    here = document
    for token in way:
        if isinstance(here, dict):
            folded = token.casefold()
            for key in here:
                if key != token and key.casefold() == folded:
                    raise _UnclearError
            if token not in here:
                return Missing()
            here = here[token]
        elif isinstance(here, list) and INDEX.fullmatch(token) and int(token) < len(here):
            here = here[int(token)]
        else:
            return Missing()
    if isinstance(here, float) or (isinstance(here, str) and len(here) > _LONGEST_TEXT):
        raise _UnclearError  # an integer beyond 64 bits is a float here
    if isinstance(here, list):
        return Array(len(here))
    return here if here is None or isinstance(here, bool | int | str) else Opaque()
