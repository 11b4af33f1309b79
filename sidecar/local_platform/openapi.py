"""`GET /openapi.json`: the schema, made from the endpoints that serve the requests."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel, JsonValue
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from sidecar import __version__
from sidecar.local_platform.access import API_KEY_SCHEME, COOKIE_SCHEME, INTERNAL_KEY_SCHEME
from sidecar.local_platform.choices import SESSION_COOKIES
from sidecar.local_platform.endpoint import Endpoint
from sidecar.local_platform.faults import is_control
from sidecar.local_platform.wire import ErrorReply

SchemaObject = dict[str, JsonValue]
References = dict[type[Any], JsonValue]
"""Where in the document each model is."""

_PARAMETER: Final = re.compile(r"\{(\w+)\}")

_SECURITY: Final[SchemaObject] = {
    INTERNAL_KEY_SCHEME: {"type": "apiKey", "in": "header", "name": "X-Internal-Key"},
    API_KEY_SCHEME: {"type": "http", "scheme": "bearer"},
    COOKIE_SCHEME: {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIES[0]},
}


def openapi(endpoints: Sequence[Endpoint]) -> SchemaObject:
    """Return the OpenAPI 3.1 document of the API; control is no part of it."""
    public = [endpoint for endpoint in endpoints if not is_control(endpoint.path)]
    references, definitions = _models(public)
    paths: defaultdict[str, SchemaObject] = defaultdict(dict)
    for endpoint in public:
        paths[endpoint.path][endpoint.method.lower()] = _operation(endpoint, references)
    return {
        "openapi": "3.1.0",
        "info": {"title": "BizBasics platform, local", "version": __version__},
        "paths": dict(paths),
        "components": {"schemas": definitions, "securitySchemes": _SECURITY},
    }


def _models(endpoints: Iterable[Endpoint]) -> tuple[References, SchemaObject]:
    wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {
        (ErrorReply, "serialization"): None
    }
    for endpoint in endpoints:
        wanted[endpoint.reply, "serialization"] = None
        if endpoint.body is not None:
            wanted[endpoint.body, "validation"] = None
    mapping, document = models_json_schema([*wanted], ref_template="#/components/schemas/{model}")
    return {model: schema for (model, _), schema in mapping.items()}, document["$defs"]


def _operation(endpoint: Endpoint, references: References) -> SchemaObject:
    operation: SchemaObject = {
        "summary": endpoint.summary,
        "responses": _responses(endpoint, references),
    }
    parameters = [*_path_parameters(endpoint), *_query_parameters(endpoint)]
    if parameters:
        operation["parameters"] = parameters
    if endpoint.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": references[endpoint.body]}},
        }
    if endpoint.access.schemes:
        operation["security"] = [{scheme: []} for scheme in endpoint.access.schemes]
    return operation


def _responses(endpoint: Endpoint, references: References) -> SchemaObject:
    statuses = {*endpoint.access.statuses, *endpoint.rejects}
    if endpoint.body is not None:
        statuses |= {HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}
    if endpoint.query is not None:
        statuses.add(HTTPStatus.UNPROCESSABLE_ENTITY)
    responses: SchemaObject = {
        str(endpoint.status.value): _response(endpoint.status, references[endpoint.reply])
    }
    for status in sorted(statuses):
        responses[str(status.value)] = _response(status, references[ErrorReply])
    return responses


def _response(status: HTTPStatus, schema: JsonValue) -> SchemaObject:
    return {
        "description": HTTPStatus(status).phrase,
        "content": {"application/json": {"schema": schema}},
    }


def _path_parameters(endpoint: Endpoint) -> list[JsonValue]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(endpoint.path)
    ]


def _query_parameters(endpoint: Endpoint) -> list[JsonValue]:
    if endpoint.query is None:
        return []
    schema = endpoint.query.model_json_schema()
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _plain(properties)}
        for name, properties in schema.get("properties", {}).items()
    ]


def _plain(schema: SchemaObject) -> SchemaObject:
    # A parameter that is left out is None in the model; none can be written in a query.
    kinds = schema.get("anyOf")
    if not isinstance(kinds, list):
        return schema
    (kind,) = (each for each in kinds if isinstance(each, dict) and each.get("type") != "null")
    return kind
