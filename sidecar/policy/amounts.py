"""What a call costs: a constant, or a whole number read from a header or a JSON body.

A client must not be able to choose a free call, or a price that the product would not see: what
cannot be read in one way only is an `UnreadableAmount`, which becomes a 422 (interface, Policy).
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from sidecar.domain.model import Headers
from sidecar.policy.content_coding import TooLongError, UndecodableError, body_pieces, coding_of
from sidecar.policy.json_pointer import Array, JsonPointer, Missing, PointerResult, Unreadable
from sidecar.policy.json_reader import JsonReader
from sidecar.policy.json_short import ShortReader
from sidecar.policy.json_text import Piece, at_once

MAX_UNITS: Final = 2**53 - 1
"""The largest amount anywhere: beyond it, JSON numbers lose units on their way to the platform."""

_LIMIT: Final = 1 << 20  # as `body_limit` by default
_DIGITS: Final = re.compile(rb"0*[0-9]{1,16}")
_CHARSET: Final = re.compile(rb"charset([^=;]*)=\s*\"?([^\s;\"]*)", re.IGNORECASE)
_ASCII_COMPATIBLE: Final = frozenset(
    {b"utf-8", b"utf8", b"us-ascii", b"ascii", b"iso-8859-1", b"latin1", b"windows-1252"}
)
_FORM: Final = b"application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class UnreadableAmount:
    """The amount cannot be read; `detail` says why, and quotes nothing long from the request.

    `status` is the refusal's: 413 for a body that is too long once decoded, 415 for a content
    coding that is not read.
    """

    detail: str
    status: int = 422


@dataclass(frozen=True, slots=True)
class Scale:
    """How a value that was read becomes units.

    With `weights` the value is a name that is looked up; without, it is the amount itself.
    `default` stands for what is missing, and for a name that is not in `weights`.
    """

    weights: Mapping[str, int] | None = None
    default: int | None = None
    maximum: int = MAX_UNITS
    minimum: int = 1

    def missing(self, where: str) -> int | UnreadableAmount:
        """Price a call whose value is not there."""
        if self.default is None:
            return UnreadableAmount(f"{where} is missing, and the call is metered by it")
        return self.default

    def name(self, where: str, value: object) -> int | UnreadableAmount:
        """Price a name by `weights`."""
        weights = self.weights or {}
        if isinstance(value, str) and value in weights:
            return weights[value]
        if self.default is None:
            return UnreadableAmount(f"{where} has a value without a price")
        return self.default

    def number(self, where: str, value: object) -> int | UnreadableAmount:
        """Price a number: a whole one (not true, not 3.0) between `minimum` and `maximum`."""
        if type(value) is not int:
            return UnreadableAmount(f"{where} is not a whole number")
        if value < self.minimum:
            return UnreadableAmount(f"{where} is below {self.minimum}")
        if value > self.maximum:
            return UnreadableAmount(f"{where} is over the maximum of {self.maximum}")
        return value


@dataclass(frozen=True, slots=True)
class ConstantAmount:
    """Every call of the route costs the same."""

    needs_body: ClassVar[bool] = False
    units: int

    def read(self, headers: Headers, body: bytes | None = None) -> int | UnreadableAmount:
        """Return the constant, whatever the call."""
        del headers, body
        return self.units


@dataclass(frozen=True, slots=True)
class HeaderAmount:
    """The amount is in a header field. `name` in lower case."""

    needs_body: ClassVar[bool] = False
    name: bytes
    scale: Scale

    def read(self, headers: Headers, body: bytes | None = None) -> int | UnreadableAmount:
        """Read the field's only line; two lines are unreadable.

        The result is at least 1, except that an empty upload by `content-length` may be 0
        where the policy's `scale.minimum` says so.
        """
        del body
        where = f"header {self.name.decode('latin-1')}"
        values = [value for name, value in headers if name == self.name]
        if not values:
            return self.scale.missing(where)
        if len(values) > 1:
            return UnreadableAmount(f"{where} is there {len(values)} times")
        if self.scale.weights is not None:
            return self.scale.name(where, values[0].decode("latin-1"))
        if not _DIGITS.fullmatch(values[0]):
            return UnreadableAmount(f"{where} is not a whole number")
        return self.scale.number(where, int(values[0]))


@dataclass(frozen=True, slots=True)
class JsonAmount:
    """The amount is in the JSON body, where `pointer` points.

    With `count` it is how many elements the array there has, and 1 for anything that is no array.
    With `times` it is multiplied by that amount, and `scale` bounds the product as well.
    """

    needs_body: ClassVar[bool] = True
    pointer: JsonPointer
    scale: Scale
    count: bool = False
    times: JsonAmount | None = None
    _reader: JsonReader = field(init=False, repr=False, compare=False)
    _short: ShortReader = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        factors = [self] if self.times is None else [self, self.times]
        pointers = [each.pointer for each in factors]
        object.__setattr__(self, "_reader", JsonReader(pointers))
        object.__setattr__(self, "_short", ShortReader(pointers))

    def read(
        self, headers: Headers, body: bytes | None, limit: int = _LIMIT
    ) -> int | UnreadableAmount:
        """Read the amount in one go, where nothing else waits for it."""
        return at_once(self.reading(headers, body or b"", limit))

    def reading(
        self, headers: Headers, body: bytes, limit: int = _LIMIT
    ) -> Generator[None, None, int | UnreadableAmount]:
        """Read the amount in slices, with a yield between two; an empty body is a missing value.

        `limit` bounds a compressed body once it is decoded, in bytes.
        """
        where = f"{self.pointer.text} of the body"
        if not body:
            return self._price((Missing(), Missing()))
        try:
            form, coding = _is_form(headers), coding_of(headers)
            findings = None if form or coding else self._short.read(body)
            if findings is None:
                pieces = body_pieces(body, coding, limit)
                text = _no_form(pieces) if form else pieces
                findings = yield from self._reader.read(text)
        except _AmbiguousError as error:
            return UnreadableAmount(f"{where} cannot be read: {error}")
        except UndecodableError as error:
            return UnreadableAmount(f"the body sets the price of this call, and {error}", 415)
        except TooLongError:
            detail = f"the body sets the price of this call and is longer than {limit} bytes"
            return UnreadableAmount(detail, 413)
        return self._price(findings)

    def _price(self, findings: tuple[PointerResult, ...]) -> int | UnreadableAmount:
        amount = self._factor(findings[0])
        if self.times is None or isinstance(amount, UnreadableAmount):
            return amount
        factor = self.times._factor(findings[1])  # noqa: SLF001 - another of the same kind
        if isinstance(factor, UnreadableAmount):
            return factor
        where = f"{self.pointer.text} times {self.times.pointer.text} of the body"
        return self.scale.number(where, amount * factor)

    def _factor(self, found: PointerResult) -> int | UnreadableAmount:
        where = f"{self.pointer.text} of the body"
        if isinstance(found, Unreadable):
            return UnreadableAmount(f"{where} cannot be read: {found.detail}")
        if found is None or isinstance(found, Missing):
            return self.scale.missing(where)
        if self.count:
            return self.scale.number(
                f"the length of {where}", found.length if isinstance(found, Array) else 1
            )
        if self.scale.weights is not None:
            return self.scale.name(where, found)
        return self.scale.number(where, found)


AmountRule = ConstantAmount | HeaderAmount | JsonAmount
"""Each has `needs_body` and `read(headers, body) -> int | UnreadableAmount`."""


class _AmbiguousError(Exception):
    """The product may read other text than these bytes; the message says why."""


def _is_form(headers: Headers) -> bool:
    """Say whether the body may be read as a form. Raises _AmbiguousError for a strange charset."""
    form = False
    for name, value in headers:
        if name != b"content-type":
            continue
        for extra, charset in _CHARSET.findall(value):
            # UTF-7 and EBCDIC, for example, hide keys in bytes that are harmless in UTF-8.
            if extra.strip() or charset.lower() not in _ASCII_COMPATIBLE:
                raise _AmbiguousError("its charset is not UTF-8")
        form = form or _FORM in value.lower()
    return form


def _no_form(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Refuse what could be read as a form: its fields hide in a string, {"n":1,"x":"&n=16"}.

    curl sends plain JSON with a form's content-type.
    """
    for piece in pieces:
        if b"&" in piece.data or b";" in piece.data:
            raise _AmbiguousError("its content-type says form, and it could be read as one")
        yield piece
