"""What has been found of an answer's usage so far, whichever way its text is read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from sidecar.domain.usage import JsonUsage, MissingCause, Tokens, Usage
from sidecar.policy.json_pointer import JsonPointer, PointerResult
from sidecar.usage.answer_format import (
    MAX_COUNT,
    AnswerFormat,
    KeyPath,
    count_of,
    follow,
    model_of,
)

MAX_NUMBER: Final = 10**15
"""A larger number is no usage: it counts as not named."""

OBJECT_FOLLOWS: Final = re.compile(rb"(?:\s|data:){0,16}:(?:\s|data:){0,16}\{")
"""After a key: an object. Pretty JSON in an event has its lines between the two."""

_ANYTHING: Final = re.compile(rb"")
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_.-][A-Za-z0-9_ .-]*")
_MOST_TRIES: Final = 1000
"""Places of a text that are looked at; one with more may name usage."""

_MODEL_TRIES: Final = 4
"""Events that are parsed for nothing but the model's name."""


def names_usage(text: bytes, needle: bytes, follows: re.Pattern[bytes]) -> bool:
    """Say whether a text may name usage, by its bytes alone: `"usage": null` does not."""
    at = text.find(needle)
    tries = _MOST_TRIES
    while at >= 0:
        at += len(needle)
        tries -= 1
        if not tries or follows.match(text, at):
            return True
        at = text.find(needle, at)
    return False


class TokenTally:
    """The counts of a vendor's format: the last of each, never the sum."""

    def __init__(self, answer_format: AnswerFormat) -> None:
        self._format = answer_format
        self._counts: list[int | None] = [None] * len(answer_format.counts)
        self._model: str | None = None
        self._named = False
        self._final = False
        self._model_tries = _MODEL_TRIES
        self.needle = answer_format.needle
        self.follows = OBJECT_FOLLOWS
        self.model_needle = answer_format.model_needle
        self.unreadable = False
        self.too_large = False

    @property
    def wants_model(self) -> bool:
        """Whether an event is worth parsing for the model's name alone."""
        return self._model is None and self._model_tries > 0

    def take(self, document: object) -> None:
        """Take a document that is parsed."""
        if not isinstance(document, dict):
            return
        named = False
        for parent in self._format.parents:
            holder: object = document
            for key in parent:
                holder = holder.get(key) if isinstance(holder, dict) else None
            if not isinstance(holder, dict):
                continue
            self._model = model_of(holder.get(self._format.model)) or self._model
            usage = holder.get(self._format.usage)
            if isinstance(usage, dict):
                named |= self._take_usage(usage)
        if named:
            self._named = True
            self._final = self._format.is_final(document)
        else:
            self._model_tries -= 1

    def _take_usage(self, usage: Mapping[str, object]) -> bool:
        named = False
        for at, key, way in self._format.places:
            value = usage.get(key)
            if way and value is not None:
                value = follow(value, way)
            if type(value) is int and 0 <= value <= MAX_COUNT:
                self._counts[at] = value
                named = True
        return named

    def pointers(self) -> list[JsonPointer]:
        """Return where in a document the values are."""
        model, usage = self._format.model, self._format.usage
        below: list[KeyPath] = [(model,)]
        below += [(usage, *path) for paths in self._format.counts for path in paths]
        return [JsonPointer.to(*parent, *path) for parent in self._format.parents for path in below]

    def take_values(self, values: Sequence[PointerResult]) -> None:
        """Take what is at the pointers of a document that names usage in one place."""
        left = iter(values)
        for _ in self._format.parents:
            self._model = model_of(next(left)) or self._model
            for at, paths in enumerate(self._format.counts):
                for _ in paths:
                    count = count_of(next(left))
                    if count is not None:
                        self._counts[at] = count
                        self._named = self._final = True

    def result(self, text_bytes: int, *, whole: bool) -> Usage:
        """Return what was read; `whole`: the answer has ended as it should."""
        named = self._named
        tokens: Tokens | None = self._format.tokens(self._counts) if named else None
        complete = named and (self._final or (whole and not self._format.ends_with_final))
        missing = None if complete else _cause(self, whole=whole)
        return Usage(tokens, None, self._model, text_bytes, missing)


class NumberTally:
    """The number at a pointer: the last one, where the answer is a stream."""

    def __init__(self, rule: JsonUsage) -> None:
        self._keys = rule.keys
        self._number: Decimal | None = None
        self._model: str | None = None
        named = [key for key in rule.keys if not key.isdigit()]
        plain = bool(named) and _PLAIN_KEY.fullmatch(named[-1]) is not None
        self.needle = f'"{named[-1]}"'.encode() if plain else b":"
        self.follows = _ANYTHING
        self.model_needle = b'"model"'
        self.unreadable = False
        self.too_large = False

    @property
    def wants_model(self) -> bool:
        """Whether an event is worth parsing for the model's name alone."""
        return False

    def take(self, document: object) -> None:
        """Take a document that is parsed."""
        self._take(follow(document, self._keys), follow(document, ("model",)))

    def pointers(self) -> list[JsonPointer]:
        """Return where in a document the values are."""
        return [JsonPointer.to(*self._keys), JsonPointer.to("model")]

    def take_values(self, values: Sequence[PointerResult]) -> None:
        """Take what is at the pointers of a document that names usage in one place."""
        self._take(values[0], values[1])

    def _take(self, value: object, model: object) -> None:
        number = number_of(value)
        self._number = self._number if number is None else number
        self._model = model_of(model) or self._model

    def result(self, text_bytes: int, *, whole: bool) -> Usage:
        """Return what was read; `whole`: the answer has ended as it should."""
        complete = self._number is not None and whole
        missing = None if complete else _cause(self, whole=whole)
        return Usage(None, self._number, self._model, text_bytes, missing)


class HeadTally:
    """What the head of an answer has said already, whatever its body is."""

    def __init__(self, number: Decimal | None, missing: MissingCause | None) -> None:
        self._number = number
        self._missing = missing
        self.unreadable = False
        self.too_large = False

    def result(self, text_bytes: int, *, whole: bool) -> Usage:
        """Return what was read; it is complete however the body ends."""
        del whole
        return Usage(None, self._number, None, text_bytes, self._missing)


UsageTally = TokenTally | NumberTally
"""Takes the documents of an answer: its body, or each event that may name usage.

`needle` is in every text that names usage, with `follows` behind it.
"""

AnswerTally = UsageTally | HeadTally
"""Says in the end what was read, and keeps why something was not."""


def number_of(value: object) -> Decimal | None:
    """Return a number that is no less than 0, None for anything else."""
    if type(value) is int and 0 <= value <= MAX_NUMBER:
        return Decimal(value)
    if type(value) is float and 0 <= value <= MAX_NUMBER:
        return Decimal(repr(value))
    return None


def _cause(tally: AnswerTally, *, whole: bool) -> MissingCause:
    if not whole:
        return MissingCause.CUT
    if tally.too_large:
        return MissingCause.TOO_LARGE
    return MissingCause.UNREADABLE if tally.unreadable else MissingCause.ABSENT
