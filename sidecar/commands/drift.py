"""Whether the platform's live OpenAPI still has the fields that this client uses. Pure.

`uses` says which those are; a difference is named field by field. What the document does not
describe is not known, and is passed over: an answer without a schema is no drift.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sidecar.commands.uses import USES, Use

Schema = Mapping[str, object]

_PARAMETER: Final = re.compile(r"\{[^}]*\}")
_SUCCESSES: Final = ("200", "201", "202", "2XX", "default")
_DEEPEST: Final = 8


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference; `ours`: from a shape of our choice. `field` names it within the endpoint."""

    endpoint: str
    field: str
    what: str
    ours: bool

    def __str__(self) -> str:
        return f"{self.endpoint}: {self.field} {self.what}"


def find_drift(document: Schema, uses: tuple[Use, ...] = USES) -> tuple[Drift, ...]:
    """Return every difference between what is used and what the document describes."""
    operations = _operations(document)
    return tuple(
        drift
        for use in uses
        for drift in _of_use(
            document, operations.get((use.method, _PARAMETER.sub("{}", use.path))), use
        )
    )


def _operations(document: Schema) -> dict[tuple[str, str], Schema]:
    return {
        (method.upper(), _PARAMETER.sub("{}", path)): operation
        for path, methods in _members(document.get("paths")).items()
        for method, operation in _members(methods).items()
        if isinstance(operation, Mapping)
    }


def _of_use(document: Schema, operation: Schema | None, use: Use) -> Iterator[Drift]:
    endpoint = f"{use.method} {use.path}"
    if operation is None:
        yield Drift(endpoint, "the endpoint", "is gone", ours=use.ours)
        return
    for where, what in (
        *_request_drift(document, operation, use),
        *_query_drift(document, operation, use),
        *_answer_drift(document, operation, use.reads),
    ):
        yield Drift(endpoint, where, what, ours=False)
    for where, what in _answer_drift(document, operation, use.reads_ours):
        yield Drift(endpoint, where, what, ours=True)


def _request_drift(document: Schema, operation: Schema, use: Use) -> Iterator[tuple[str, str]]:
    if not use.sends:
        return
    schema = _json_schema(document, _resolved(document, operation.get("requestBody")))
    if schema is None:
        return
    for name, kind in use.sends.items():
        yield from _path_drift(document, schema, name, kind, f"request field `{name}`")
    for missing in _list(schema.get("required")):
        if missing not in use.sends:
            yield f"request field `{missing}`", "is required now, and not sent"


def _query_drift(document: Schema, operation: Schema, use: Use) -> Iterator[tuple[str, str]]:
    parameters = [_resolved(document, each) for each in _list(operation.get("parameters"))]
    queries = {each.get("name"): each for each in parameters if each.get("in") == "query"}
    for name in use.query:
        if name not in queries:
            yield f"query parameter `{name}`", "is gone"
    for other, parameter in queries.items():
        if parameter.get("required") is True and other not in use.query:
            yield f"query parameter `{other}`", "is required now, and not sent"


def _answer_drift(
    document: Schema, operation: Schema, reads: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    responses = _members(operation.get("responses"))
    answer = next((responses[status] for status in _SUCCESSES if status in responses), None)
    schema = _json_schema(document, _resolved(document, answer))
    if schema is None:
        return
    for path, kind in reads.items():
        yield from _path_drift(document, schema, path, kind, f"answer field `{path}`")


def _path_drift(
    document: Schema, schema: Schema, path: str, kind: str, where: str
) -> Iterator[tuple[str, str]]:
    """Go down a path; stop, without a word, where the document says nothing more."""
    for step in path.split("."):
        following = _step(document, schema, step)
        if following is None:
            if _describes(schema, step):
                yield where, "is gone"
            return
        schema = following
    kinds = _kinds(document, schema)
    if kinds and kind not in kinds and not (kind == "integer" and "number" in kinds):
        yield where, f"was {kind} and is {' or '.join(sorted(kinds))}"


def _step(document: Schema, schema: Schema, step: str) -> Schema | None:
    match step:
        case "*":
            found = schema.get("additionalProperties")
        case "[]":
            found = schema.get("items")
        case _:
            found = _members(schema.get("properties")).get(step)
    return _resolved(document, found) if isinstance(found, Mapping) else None


def _describes(schema: Schema, step: str) -> bool:
    """Say whether a schema says enough for a missing step to be a difference."""
    match step:
        case "*":
            return bool(schema.get("properties"))
        case "[]":
            return "type" in schema and schema["type"] != "array"
        case _:
            return bool(schema.get("properties")) or schema.get("type") in {
                "array", "string", "integer", "number", "boolean",
            }  # fmt: skip


def _kinds(document: Schema, schema: Schema, depth: int = 0) -> frozenset[str]:
    """Return the types that a value may have, null aside; none where it is not said."""
    if depth > _DEEPEST:
        return frozenset()
    given = schema.get("type")
    if isinstance(given, str):
        return frozenset({given})
    if isinstance(given, list):
        return frozenset(each for each in given if isinstance(each, str) and each != "null")
    kinds: set[str] = set()
    for each in (*_list(schema.get("anyOf")), *_list(schema.get("oneOf"))):
        one = _kinds(document, _resolved(document, each), depth + 1)
        if not one:
            return frozenset()
        kinds |= one
    return frozenset(kinds - {"null"})


def _json_schema(document: Schema, holder: Schema) -> Schema | None:
    content = _members(holder.get("content"))
    described = _members(content.get("application/json")).get("schema")
    return _resolved(document, described) if isinstance(described, Mapping) else None


def _resolved(document: Schema, schema: object, depth: int = 0) -> Schema:
    """Follow references, put `allOf` together, and look through "or null"."""
    found = _members(schema)
    if depth > _DEEPEST:
        return {}
    if isinstance(reference := found.get("$ref"), str):
        return _resolved(document, _referred(document, reference), depth + 1)
    alternatives = [
        each for each in _list(found.get("anyOf")) if _members(each).get("type") != "null"
    ]
    if len(alternatives) == 1 and "properties" not in found:
        return _resolved(document, alternatives[0], depth + 1)
    properties: dict[str, object] = {}
    required: list[object] = []
    # Two levels of it at most: a circle with many parts would take for ever.
    deeper = depth + _DEEPEST // 2
    parts = [_resolved(document, each, deeper) for each in _list(found.get("allOf"))]
    if not parts:
        return found
    merged: dict[str, object] = {}
    for part in (*parts, found):
        merged |= part
        properties |= _members(part.get("properties"))
        required += _list(part.get("required"))
    return {**merged, "properties": properties, "required": required}


def _referred(document: Schema, reference: str) -> Schema:
    found: object = document
    for part in reference.removeprefix("#/").split("/"):
        found = _members(found).get(part.replace("~1", "/").replace("~0", "~"))
    return _members(found)


def _members(value: object) -> Schema:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
