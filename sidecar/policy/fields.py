"""The kinds of value that a policy holds: each checked on its own, each with its JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Final, TypeVar

from annotated_types import GroupedMetadata
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from typing_extensions import override

from sidecar.domain.cors import parse_origin_pattern
from sidecar.policy.amounts import MAX_UNITS
from sidecar.policy.durations import PATTERN, parse_duration
from sidecar.policy.exact_numbers import parse_exact
from sidecar.policy.json_pointer import JsonPointer
from sidecar.policy.patterns import parse_pattern

T = TypeVar("T")

Choice = Annotated[T, Field(strict=False)]
"""One of an enum's values, as text: strict mode would ask for the enum's own instances."""


class Spec(BaseModel):
    """A mapping of the file: no unknown keys, no coercion between types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


DENY_STATUSES: Final = (400, 402, 403, 404, 409, 422, 423, 429, 451, 503, 507)
"""Statuses that a refusal may have: those that ask nothing more of the answer than a body."""

_METHOD_PATTERN: Final = r"^[A-Z][A-Z0-9-]{0,31}$"
# A name with any other sign may be read as one with hyphens, and one with an underscore is dropped.
_HEADER_PATTERN: Final = r"^[A-Za-z0-9-]{1,64}$"
_COOKIE_PATTERN: Final = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$"
_NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
_SLUG_PATTERN: Final = r"^[a-z0-9][a-z0-9_-]{0,62}$"
_ENV_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_]{0,127}$"
_VALUE_PATTERN: Final = r"^[\x21-\x7e\x80-\xff]([\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?$"


def by_source(plain: str, in_body: str, in_head: str) -> Discriminator:
    """Return what names the form of a value: a plain one, `{json: ...}` or `{header: ...}`."""

    def form(value: object) -> str:
        if not isinstance(value, dict | Spec):
            return plain
        keys = value if isinstance(value, dict) else type(value).model_fields
        return in_head if "header" in keys and "json" not in keys else in_body

    return Discriminator(form)


@dataclass(frozen=True, slots=True, eq=False)  # hashed by itself: Python 3.11 hashes parts of types
class _Text(GroupedMetadata):
    """Text of a pattern; the JSON Schema has the pattern too, except where that is `shown`."""

    pattern: str
    fix: str
    shown: JsonSchemaValue | None = None

    @override
    def __iter__(self) -> Iterator[object]:
        compiled = re.compile(self.pattern.removesuffix("$") + r"\Z")

        def check(value: str) -> str:
            if not compiled.match(value):
                raise ValueError(f"{value!r} {self.fix}")
            return value

        yield AfterValidator(check)
        yield WithJsonSchema(self.shown or {"type": "string", "pattern": self.pattern})


def _readable(read: Callable[[str], object]) -> AfterValidator:
    def check(value: str) -> str:
        read(value)
        return value

    return AfterValidator(check)


def _header_name(value: str) -> str:
    if value.lower().startswith("x-bb-"):
        raise ValueError(f"header {value!r} is dropped from every request: a call cannot have it")
    return value.lower()


def _status(value: int) -> int:
    if value not in DENY_STATUSES:
        allowed = ", ".join(map(str, DENY_STATUSES))
        raise ValueError(f"{value} is no status for a refusal: take one of {allowed}")
    return value


def _ascending(value: list[int]) -> list[int]:
    if any(low >= high for low, high in pairwise(value)):
        raise ValueError(f"{value} is not in ascending order: give each percent once")
    return value


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": PATTERN}, {"type": "number"}]}),
]
ExactNumber = Annotated[
    Decimal, BeforeValidator(parse_exact), WithJsonSchema({"type": "number", "minimum": 0})
]
"""A number of 0 or more, with the digits that the file has."""
Units = Annotated[int, Field(ge=1, le=MAX_UNITS)]
DenyStatus = Annotated[
    int, AfterValidator(_status), WithJsonSchema({"type": "integer", "enum": list(DENY_STATUSES)})
]
Levels = Annotated[
    list[Annotated[int, Field(ge=1, le=100)]],
    Field(min_length=1, max_length=10),
    AfterValidator(_ascending),
]
Method = Annotated[
    str, _Text(_METHOD_PATTERN, "is not a method: write it in upper case, such as POST")
]
HeaderName = Annotated[
    str,
    _Text(_HEADER_PATTERN, "is not a header name: letters, digits and hyphens"),
    AfterValidator(_header_name),
]
HeaderValue = Annotated[
    str,
    _Text(
        _VALUE_PATTERN,
        "is not a header value: Latin-1, no white space at the ends",
        {"type": "string", "minLength": 1},
    ),
]
CookieName = Annotated[str, _Text(_COOKIE_PATTERN, "is not a cookie name")]
RouteName = Annotated[
    str,
    _Text(
        _NAME_PATTERN,
        "is not a route name: up to 64 letters, digits, '_', '.', '-', as it becomes a label",
    ),
]
PolicySlug = Annotated[
    str, _Text(_SLUG_PATTERN, "is not a product slug: lower-case letters, digits, hyphens")
]
EnvironmentName = Annotated[str, _Text(_ENV_PATTERN, "is not the name of an environment variable")]
Pointer = Annotated[
    str, _readable(JsonPointer.parse), WithJsonSchema({"type": "string", "pattern": "^/"})
]
MAX_ORIGINS: Final = 100
"""Each is compared with the origin of a refused request."""

OriginText = Annotated[
    str,
    _readable(parse_origin_pattern),
    WithJsonSchema({"type": "string", "pattern": r"^(\*|[A-Za-z][A-Za-z0-9+.-]*://[^/?#\s]+)$"}),
]
Origins = Annotated[list[OriginText], Field(min_length=1, max_length=MAX_ORIGINS)]
PricedName = Annotated[str, Field(max_length=256)]
"""Short enough that a text which could be one is always decoded, however it is written."""
PathPattern = Annotated[
    str,
    _readable(parse_pattern),
    WithJsonSchema({"type": "string", "pattern": r"^/[^;?#%\\]*$"}),
]
