"""The schema that is made from the endpoints."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator

from tests.unit.local_platform import acme


async def schema_of(caller: acme.Caller) -> dict[str, Any]:
    """The document as it is served."""
    status, document = await caller.ask("GET", "/openapi.json")
    assert status == 200
    served: dict[str, Any] = document
    return served


async def test_every_documented_endpoint_is_in_it_and_control_is_not(
    caller: acme.Caller,
) -> None:
    """The contract's list, method by method."""
    document = await schema_of(caller)

    operations = {
        f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item
    }
    assert operations == {
        "POST /v1/quota/consume",
        "GET /v1/quota/status",
        "GET /v1/quota/breakdown",
        "POST /v1/workspace-records",
        "GET /v1/workspace-records",
        "GET /v1/catalog",
        "GET /v1/org/retrieve",
        "POST /v1/webhooks",
        "POST /v1/webhooks/{id}/test",
        "GET /v1/dev/api-requests",
        "GET /v1/dev/webhook-deliveries",
        "GET /.well-known/jwks.json",
        "GET /api/v1/internal/verify-app-token",
        "GET /health",
        "GET /ready",
        "GET /openapi.json",
    }


async def test_its_models_are_json_schema_and_every_reference_leads_somewhere(
    caller: acme.Caller,
) -> None:
    """OpenAPI 3.1 schemas are JSON Schema 2020-12."""
    document = await schema_of(caller)

    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    assert {name.rpartition("/")[2] for name in _references(document)} == set(schemas)


async def test_what_it_says_of_consume_is_what_consume_takes(caller: acme.Caller) -> None:
    """The resources, the default, the bounds, the required fields, the credential."""
    document = await schema_of(caller)

    operation = document["paths"]["/v1/quota/consume"]["post"]
    body = document["components"]["schemas"]["ConsumeBody"]
    assert operation["security"] == [{"internalKey": []}]
    assert {"401", "403", "404", "409", "422"} < set(operation["responses"])
    assert body["required"] == ["org_id", "resource"]
    assert body["properties"]["amount"]["default"] == 1
    assert body["properties"]["amount"]["minimum"] == 1


async def test_answers_fit_what_it_says(caller: acme.Caller) -> None:
    """A real answer of each kind, held against its schema."""
    document = await schema_of(caller)
    endpoint = {"url": "http://127.0.0.1:1/", "event_types": ["*"]}
    answers = [
        ("ConsumeReply", await caller.consume()),
        ("ErrorReply", await caller.consume(amount=0)),
        ("ErrorReply", await caller.consume(org_id="org_nobody")),
        ("PublishReply", await caller.publish()),
        ("StatusReply", await caller.read("/v1/quota/status")),
        ("BreakdownReply", await caller.read("/v1/quota/breakdown")),
        ("RecordsReply", await caller.read("/v1/workspace-records")),
        ("SearchReply", await caller.read("/v1/org/retrieve?q=note")),
        ("CatalogReply", await caller.read("/v1/catalog")),
        ("WebhookReply", await caller.as_product("POST", "/v1/webhooks", endpoint)),
        ("ApiRequestsReply", await caller.read("/v1/dev/api-requests")),
        ("DeliveriesReply", await caller.read("/v1/dev/webhook-deliveries")),
        ("KeySetReply", await caller.ask("GET", "/.well-known/jwks.json")),
    ]

    for name, (_, body) in answers:
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        Draft202012Validator(schema).validate(body)


def _references(node: Any) -> set[str]:
    match node:
        case {"$ref": str(name)}:
            return {name}
        case dict():
            return set().union(*(_references(item) for item in node.values()))
        case list():
            return set().union(*(_references(item) for item in node))
        case _:
            return set()
