"""The typed model of a meter's `usage`: how a call is settled by what its answer says."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, Tag
from pydantic.json_schema import SkipJsonSchema

from sidecar.domain.usage import OnMissing, OnOverrun, UsageFormat
from sidecar.policy.fields import (
    Choice,
    ExactNumber,
    HeaderName,
    Pointer,
    PricedName,
    Spec,
    Units,
    by_source,
)

MAX_HOLD_POINTERS: Final = 8
"""Places of a body that are looked at for the most output that a call may make."""

MAX_MODELS: Final = 1000
"""Patterns of model names of one route: each may be compared with the model of a call."""


class JsonUsageSpec(Spec):
    """Usage that is one number of the JSON answer."""

    json_: Pointer = Field(
        alias="json", description="JSON pointer (RFC 6901) to a number of the answer."
    )


class HeaderUsageSpec(Spec):
    """Usage that is a number in a field of the answer's head."""

    header: HeaderName = Field(description="Name of the field of the answer.")


NAMED, IN_BODY, IN_HEAD = "a format by name", "usage in the body", "usage in the head"
"""Which form of `format` is meant; no key of the file has such a name."""


FormatSpec = Annotated[
    Annotated[Choice[UsageFormat], Tag(NAMED)]
    | Annotated[JsonUsageSpec, Tag(IN_BODY)]
    | Annotated[HeaderUsageSpec, Tag(IN_HEAD)],
    by_source(NAMED, IN_BODY, IN_HEAD),
]


class WeightsSpec(Spec):
    """What a token of each kind counts."""

    input: ExactNumber = Field(
        default=Decimal(1), description="A token of the request that no cache had."
    )
    cached: ExactNumber = Field(default=Decimal(1), description="A token read from a cache.")
    cache_write: ExactNumber = Field(
        default=Decimal(1), description="A token written to a cache (Anthropic)."
    )
    output: ExactNumber = Field(
        default=Decimal(1), description="A token of the answer, reasoning included."
    )


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


_POINTERS = Annotated[list[Pointer], Field(min_length=1, max_length=MAX_HOLD_POINTERS)]
HoldPointers = Annotated[
    _POINTERS, BeforeValidator(_listed, json_schema_input_type=Pointer | _POINTERS)
]


class HoldSpec(Spec):
    """How much output a call may make, as its body announces it."""

    json_: HoldPointers = Field(
        alias="json",
        description="JSON pointer to the most tokens of output, or several: the first that the "
        "body has counts.",
    )
    default: Units | SkipJsonSchema[None] = Field(
        default=None, description="Tokens where the body has none of them; `max` when left out."
    )
    max: Units = Field(description="The most tokens that are held for one call.")


class UsageSpec(Spec):
    """How a call is settled by what its answer says that it has used."""

    format: FormatSpec = Field(
        description="Which API's usage the answer names: `openai`, `anthropic`, `gemini`, "
        "`openai_realtime`, or `{json: /pointer}` or `{header: name}` for one number.",
    )
    per: ExactNumber = Field(default=Decimal(1), description="Weighted tokens for one unit.")
    weights: WeightsSpec = Field(
        default=WeightsSpec(), description="What a token of each kind counts; 1 when left out."
    )
    models: (
        Annotated[dict[PricedName, ExactNumber], Field(min_length=1, max_length=MAX_MODELS)]
        | SkipJsonSchema[None]
    ) = Field(
        default=None,
        description="Times this, by the model's name; `*` is any text. The first that fits counts.",
    )
    hold: HoldSpec | SkipJsonSchema[None] = Field(
        default=None,
        description="Keep the worst case of a call's output free of other calls until the call is "
        "settled.",
    )
    missing: Choice[OnMissing] = Field(
        default=OnMissing.ESTIMATE,
        description="What an answer without usage costs: an `estimate` by its text, the whole "
        "`hold`, or the `amount`.",
    )
    request_usage: bool = Field(
        default=False, description="Ask an OpenAI stream for its usage (`format: openai`)."
    )
    overrun: Choice[OnOverrun] = Field(
        default=OnOverrun.BLOCK,
        description="When the quota could not cover a cost: `block` the org's calls until it has "
        "quota again, or `forgive`.",
    )
