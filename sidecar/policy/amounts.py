"""What a call costs: a constant, or a whole number read from a header or a JSON body.

A client must not be able to choose a free call, or a price that the product would not see: what
cannot be read in one way only is an `UnreadableAmount`, which becomes a 422 (interface, Policy).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from sidecar.model import Headers
from sidecar.policy.json_pointer import JsonPointer, Missing, Unreadable

MAX_UNITS: Final = 2**53 - 1
"""The largest amount anywhere: beyond it, JSON numbers lose units on their way to the platform."""

_DIGITS: Final = re.compile(rb"0*[0-9]{1,16}")
_CHARSET: Final = re.compile(rb"charset([^=;]*)=\s*\"?([^\s;\"]*)", re.IGNORECASE)
_ASCII_COMPATIBLE: Final = frozenset(
    {b"utf-8", b"utf8", b"us-ascii", b"ascii", b"iso-8859-1", b"latin1", b"windows-1252"}
)
_FORM: Final = b"application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class UnreadableAmount:
    """The amount cannot be read; `detail` says why, and quotes nothing long from the request."""

    detail: str


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

    def read(self, headers: Headers, body: bytes | None) -> int | UnreadableAmount:
        """Return the constant, whatever the call."""
        del headers, body
        return self.units


@dataclass(frozen=True, slots=True)
class HeaderAmount:
    """The amount is in a header field. `name` in lower case."""

    needs_body: ClassVar[bool] = False
    name: bytes
    scale: Scale

    def read(self, headers: Headers, body: bytes | None) -> int | UnreadableAmount:
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
    """The amount is in the JSON body, where `pointer` points."""

    needs_body: ClassVar[bool] = True
    pointer: JsonPointer
    scale: Scale

    def read(self, headers: Headers, body: bytes | None) -> int | UnreadableAmount:
        """Read the value; at least 1. None and an empty body are a missing value."""
        where = f"{self.pointer.text} of the body"
        body = body or b""
        if (ambiguous := _ambiguous_body(headers, body)) is not None:
            return UnreadableAmount(f"{where} cannot be read: {ambiguous}")
        value = self.pointer.find(body)
        if isinstance(value, Unreadable):
            return UnreadableAmount(f"{where} cannot be read: {value.detail}")
        if isinstance(value, Missing):
            return self.scale.missing(where)
        if self.scale.weights is not None:
            return self.scale.name(where, value)
        return self.scale.number(where, value)


AmountRule = ConstantAmount | HeaderAmount | JsonAmount
"""Each has `needs_body` and `read(headers, body) -> int | UnreadableAmount`."""


def _ambiguous_body(headers: Headers, body: bytes) -> str | None:
    """Say why the product may read other text than these bytes, or None."""
    if not body:
        return None
    for name, value in headers:
        if name == b"content-encoding" and value.lower() not in (b"", b"identity"):
            return "the body is compressed; send it without content-encoding"
        if name != b"content-type":
            continue
        for extra, charset in _CHARSET.findall(value):
            # UTF-7 and EBCDIC, for example, hide keys in bytes that are harmless in UTF-8.
            if extra.strip() or charset.lower() not in _ASCII_COMPATIBLE:
                return "its charset is not UTF-8"
        # A form's fields hide in a JSON string: {"n":1,"x":"&n=16"}. curl sends plain JSON so.
        if _FORM in value.lower() and (b"&" in body or b";" in body):
            return "its content-type says form, and it could be read as one"
    return None
