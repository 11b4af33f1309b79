"""What a mistake of shape is called, so that it names the thing, the value and the fix."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final, get_args

from pydantic import BaseModel, Tag
from pydantic_core import ErrorDetails

from sidecar.policy.amount_schema import FROM_JSON, JsonAmountSpec
from sidecar.policy.fields import Spec
from sidecar.policy.schema import MeterSpec, PolicySpec, RouteSpec
from sidecar.policy.source import Where


def _mappings_in(annotation: object, name: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Give each mapping below, by the name of its field or the tag of its form."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        yield name, annotation
        for own, field in annotation.model_fields.items():
            yield from _mappings_in(field.annotation, field.alias or own)
    for part in get_args(annotation):
        tags = (each.tag for each in get_args(part) if isinstance(each, Tag))
        yield from _mappings_in(part, next(tags, name))


_MODELS: Final = dict(_mappings_in(PolicySpec))
"""The mapping that a part of an error's location means."""

_DEMANDS: Final = {
    "enum": "must be {expected}",
    "literal_error": "must be {expected}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must not be empty: leave out the key instead",
    "string_type": "must be text; put it in quotes",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "list_type": "must be a list",
}
"""What is asked of a value, by the kind of error."""

_ONE_ROUTE: Final = "`{name: rest, match: {path: /**}, action: allow}`"
_DURATIONS: Final = frozenset({"platform_timeout", "seconds"})


def describe(error: ErrorDetails, here: Where) -> tuple[str, bool] | None:
    """Return the message for an error of validation, and whether it concerns a key.

    `here` is the part of its location that the document has. None when the error only says that
    something might as well have been left out.
    """
    where = error["loc"]
    name = _name(here)
    match error["type"]:
        case "none_required":
            return None
        case "extra_forbidden":
            return _unknown_key(where), True
        case "missing":
            either = " or `header`" if FROM_JSON in where and "times" not in where else ""
            return f"{name} needs `{where[-1]}`{either}", True
        case "value_error":
            return f"{name}: {error['ctx']['error']}", where[-1] == "[key]"
        case "less_than_equal" | "greater_than_equal" if here and here[-1] in _DURATIONS:
            demand, value = f"{_demand(error['type'], error)} s", error["input"]
            return f"{name} {demand}{_given(value)}{_in_seconds(error['type'], value)}", False
        case "too_short" if here == ("routes",):
            return f"{name} must not be empty: give at least one, such as {_ONE_ROUTE}", False
        case kind:
            return f"{name} {_demand(kind, error)}{_given(error['input'])}", False


def _demand(kind: str, error: ErrorDetails) -> str:
    demand = _DEMANDS.get(kind)
    if demand is None:
        return f"is wrong: {error['msg']}"
    context = error.get("ctx", {})
    if context.get("expected") == "True":
        return "must be true"  # as YAML spells it
    return demand.format_map(context)


def _given(value: object) -> str:
    if isinstance(value, bool):
        return f", not {str(value).lower()}"
    return f", not {value!r:.60}" if isinstance(value, str | int | float) else ""


def _in_seconds(kind: str, value: object) -> str:
    """Say what a plain number means: many write milliseconds."""
    if isinstance(value, str) or kind != "less_than_equal":
        return ""
    return f": a number is seconds, milliseconds are written {value}ms"


def _name(here: Where) -> str:
    if not here:
        return "the policy"
    if isinstance(here[-1], str):
        return f"`{here[-1]}`"
    return f"an entry of {_name(here[:-1])}"


def _unknown_key(where: Where) -> str:
    key = str(where[-1])
    model: type[BaseModel] = PolicySpec
    for part in where[:-1]:
        model = _MODELS.get(part, model) if isinstance(part, str) else model
    known = [field.alias or name for name, field in model.model_fields.items()]
    if key == "<<":
        return "merge keys are not supported: what routes share belongs under `defaults`"
    if model is JsonAmountSpec and key == "header":
        return "an amount takes `json` or `header`, not both"
    if near := get_close_matches(key, known, n=1, cutoff=0.6):
        return f"unknown key `{key}`; did you mean `{near[0]}`?"
    if model is RouteSpec and key in MeterSpec.model_fields:
        return f"unknown key `{key}`; it belongs under `meter`"
    return f"unknown key `{key}`; known here: {', '.join(known)}"
