"""Short JSON bodies, read in one go by orjson where that must find what the reader would find.

orjson differs from the reader in repeated keys, in keys that differ only in case, in depth, in long
numbers and texts, and in surrogates. A body that could have one of these is left to the reader, and
so is each one that orjson refuses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import orjson

from sidecar.policy.json_places import INDEX
from sidecar.policy.json_pointer import Array, JsonPointer, Missing, Opaque, PointerResult

LONGEST: Final = 16 * 1024
"""Bytes: orjson reads so many in 0.1 ms at the worst, a slice of the reader's."""

_MOST_CONTAINERS: Final = 128
"""As deep as the reader goes, if each is in the one before."""

_LONGEST_TEXT: Final = 1000
"""Characters that take no more than the reader's 4,096 bytes, however they are written."""

_APART, _SAMPLE = 1024, 32
"""Bytes: a number too long for the reader would fill some of the samples taken so far apart."""

_WORD: Final = re.compile(r"[A-Za-z0-9_.-]+")
_BY_NUMBER: Final = re.compile(rb"\\u")
_OF_NUMBERS: Final = b"0123456789.eE+-"


class ShortReader:
    """Reads what some pointers point at; their steps must be plain words."""

    def __init__(self, pointers: Sequence[JsonPointer]) -> None:
        self._ways = tuple(pointer.tokens for pointer in pointers)
        tokens = sorted({token for way in self._ways for token in way})
        self._plain = all(_WORD.fullmatch(token) for token in tokens)
        self._keys = tuple(f'"{token}"'.encode() for token in tokens)

    def read(self, body: bytes) -> tuple[PointerResult, ...] | None:
        """Return a finding for each pointer; None for a body that the reader has to read."""
        if len(body) > LONGEST or not self._plain or not self._reads_alike(body):
            return None
        try:
            document = orjson.loads(body)
            return tuple(_follow(document, way) for way in self._ways)
        except (orjson.JSONDecodeError, _UnclearError):
            return None

    def _reads_alike(self, body: bytes) -> bool:
        """Say whether orjson and the reader agree on this body, where orjson can read it.

        Without an escape by number no other way of writing has a key of interest in it, so each of
        them that is repeated is found twice.
        """
        if _BY_NUMBER.search(body) or body.count(b"[") + body.count(b"{") > _MOST_CONTAINERS:
            return False
        for key in self._keys:
            if body.count(key) > 1:
                return False
        starts = range(_APART, len(body) - _SAMPLE, _APART)
        return all(body[at : at + _SAMPLE].strip(_OF_NUMBERS) for at in starts)


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
