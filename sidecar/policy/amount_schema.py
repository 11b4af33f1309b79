"""The typed model of an amount: a constant, or read from the call."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, Tag
from pydantic.json_schema import SkipJsonSchema

from sidecar.policy.fields import HeaderName, Pointer, PricedName, Spec, Units, by_source


class ScaleSpec(Spec):
    """How a value that was read becomes units."""

    map: Annotated[dict[PricedName, Units], Field(min_length=1)] | SkipJsonSchema[None] = Field(
        default=None,
        description="Price by name: the value is looked up, exactly as it is written. "
        "A name that is not there takes `default`, or is refused (422) without one.",
    )
    default: Units | SkipJsonSchema[None] = Field(
        default=None,
        description="Units when the value is missing or null. Without it such a call is refused "
        "(422).",
    )
    max: Units | SkipJsonSchema[None] = Field(
        default=None, description="The largest amount that is accepted; more is refused (422)."
    )


class FactorSpec(ScaleSpec):
    """A number that is read from the JSON body."""

    json_: Pointer = Field(
        alias="json", description="JSON pointer (RFC 6901) to the amount, or to the name in `map`."
    )
    count: bool = Field(
        default=False,
        description="Count the elements of the array there; 1 for anything that is no array.",
    )


class JsonAmountSpec(FactorSpec):
    """An amount that is read from the JSON body."""

    times: FactorSpec | SkipJsonSchema[None] = Field(
        default=None,
        description="Multiply by another number of the body; `max` bounds the product as well.",
    )


class HeaderAmountSpec(ScaleSpec):
    """An amount that is read from a request header."""

    header: HeaderName = Field(
        description="Name of the header that holds the amount, or the name in `map`."
    )


CONSTANT, FROM_JSON, FROM_HEADER = "a constant", "from the body", "from a header"
"""Which form of an amount is meant; no key of the file has such a name."""


AmountSpec = Annotated[
    Annotated[Units, Tag(CONSTANT)]
    | Annotated[JsonAmountSpec, Tag(FROM_JSON)]
    | Annotated[HeaderAmountSpec, Tag(FROM_HEADER)],
    by_source(CONSTANT, FROM_JSON, FROM_HEADER),
]
