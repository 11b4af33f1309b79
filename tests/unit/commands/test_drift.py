from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.client import PlatformClient
from sidecar.commands.drift import find_drift
from sidecar.commands.uses import USES
from sidecar.local_platform import LocalPlatform


@pytest.fixture(name="document", scope="module")
def written_document() -> dict[str, Any]:
    """A document as a platform might write it, with references and a nullable field."""
    quota = {
        "allOf": [
            {"$ref": "#/components/schemas/Period"},
            {"properties": {name: {"type": "integer"} for name in ("used", "limit", "remaining")}},
        ]
    }
    return {
        "paths": {
            "/v1/quota/consume": {
                "post": {
                    "requestBody": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Body"}}
                        }
                    },
                    "responses": {
                        "200": {
                            "content": {
                                "application/json": {
                                    "schema": {
                                        "allOf": [
                                            {"$ref": "#/components/schemas/Period"},
                                            {"properties": {
                                                "allowed": {"type": "boolean"},
                                                "used": {"type": "integer"},
                                                "limit": {"type": "integer"},
                                                "remaining": {"type": "integer"},
                                                "resource": {"type": "string"},
                                            }},
                                        ]
                                    }
                                }
                            }
                        }
                    },
                }
            },
            "/v1/quota/status": {
                "get": {
                    "responses": {
                        "200": {
                            "content": {
                                "application/json": {
                                    "schema": {
                                        "properties": {
                                            "org_id": {"type": "string"},
                                            "quotas": {"additionalProperties": quota},
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            },
        },
        "components": {
            "schemas": {
                "Period": {
                    "properties": {"period": {"type": "string"}, "reset_at": {"type": "string"}}
                },
                "Body": {
                    "properties": {
                        "org_id": {"type": "string"},
                        "resource": {"type": "string", "enum": ["ai_calls"]},
                        "amount": {"type": "integer"},
                        "product_id": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                        "idempotency_key": {"type": ["string", "null"]},
                    },
                    "required": ["org_id", "resource"],
                },
            }
        },
    }  # fmt: skip


CONSUME, STATUS = USES[:2]


def lines(document: dict[str, Any]) -> list[str]:
    """Return the differences in the quota endpoints, as text."""
    return [str(drift) for drift in find_drift(document, (CONSUME, STATUS))]


def changed(document: dict[str, Any]) -> dict[str, Any]:
    """Return a copy to change."""
    return copy.deepcopy(document)


def test_what_has_all_fields_has_no_drift(document: dict[str, Any]) -> None:
    """Through references, allOf, and "or null"."""
    assert lines(document) == []


async def test_the_local_platform_has_no_drift() -> None:
    """Its document is made from the models that validate."""
    async with LocalPlatform() as local, PlatformClient(url=local.url) as client:
        assert find_drift(await client.openapi()) == ()


def test_a_field_that_is_gone_is_named(document: dict[str, Any]) -> None:
    """In the request, and deep in an answer."""
    document = changed(document)
    del document["components"]["schemas"]["Body"]["properties"]["idempotency_key"]
    del document["components"]["schemas"]["Period"]["properties"]["reset_at"]
    assert lines(document) == [
        "POST /v1/quota/consume: request field `idempotency_key` is gone",
        "POST /v1/quota/consume: answer field `reset_at` is gone",
        "GET /v1/quota/status: answer field `quotas.*.reset_at` is gone",
    ]


def test_a_type_that_changed_is_named(document: dict[str, Any]) -> None:
    """Both types."""
    document = changed(document)
    document["components"]["schemas"]["Body"]["properties"]["amount"] = {"type": "string"}
    assert lines(document) == [
        "POST /v1/quota/consume: request field `amount` was integer and is string"
    ]


def test_a_field_that_is_required_now_is_named(document: dict[str, Any]) -> None:
    """We would get 422."""
    document = changed(document)
    document["components"]["schemas"]["Body"]["required"].append("region")
    assert lines(document) == [
        "POST /v1/quota/consume: request field `region` is required now, and not sent"
    ]


def test_an_endpoint_that_is_gone_is_named(document: dict[str, Any]) -> None:
    """In place of all its fields."""
    document = changed(document)
    del document["paths"]["/v1/quota/status"]
    assert lines(document) == ["GET /v1/quota/status: the endpoint is gone"]


def test_another_name_of_a_path_parameter_is_no_drift() -> None:
    """It is not sent."""
    document: dict[str, Any] = {"paths": {"/v1/webhooks/{webhook_id}/test": {"post": {}}}}
    (use,) = (each for each in USES if each.path.endswith("/test"))
    assert find_drift(document, (use,)) == ()


def test_a_query_parameter_that_is_gone_is_named() -> None:
    """A filter without effect would show the wrong records."""
    document: dict[str, Any] = {"paths": {"/v1/dev/api-requests": {"get": {"parameters": []}}}}
    uses = tuple(each for each in USES if each.path.endswith("api-requests"))
    (drift,) = find_drift(document, uses)
    assert str(drift) == "GET /v1/dev/api-requests: query parameter `limit` is gone"


@pytest.mark.parametrize("schema", [{}, {"type": "object"}, {"title": "Anything"}])
def test_what_is_not_described_is_no_drift(document: dict[str, Any], schema: object) -> None:
    """Many platforms describe no answers."""
    document = changed(document)
    answer = document["paths"]["/v1/quota/status"]["get"]["responses"]["200"]
    answer["content"]["application/json"]["schema"] = schema
    assert lines(document) == []


def test_a_shape_of_our_choice_is_told_apart() -> None:
    """A difference from it is news, and no fault of the platform."""
    answer = {"content": {"application/json": {"schema": {"type": "array", "items": {}}}}}
    document = {"paths": {"/v1/catalog": {"get": {"responses": {"200": answer}}}}}
    uses = tuple(use for use in USES if use.path == "/v1/catalog")
    assert {drift.ours for drift in find_drift(document, uses)} == {True}


@pytest.mark.parametrize(
    ("model", "field", "endpoint"),
    [
        ("RecordReply", "source_ref", "GET /v1/workspace-records"),
        ("RecordHit", "title", "GET /v1/org/retrieve"),
        ("CatalogEntry", "product_id", "GET /v1/catalog"),
        ("RecordedRequest", "status", "GET /v1/dev/api-requests"),
        ("Delivery", "event", "GET /v1/dev/webhook-deliveries"),
        ("WebhookReply", "id", "POST /v1/webhooks"),
    ],
)
async def test_a_field_that_the_client_must_find_is_watched(
    model: str, field: str, endpoint: str
) -> None:
    """Also where the shape is ours: the client cannot read the answer without it."""
    async with LocalPlatform() as local, PlatformClient(url=local.url) as client:
        document: Any = await client.openapi()
    del document["components"]["schemas"][model]["properties"][field]
    (drift,) = find_drift(document)
    assert (drift.endpoint, drift.ours) == (endpoint, True)
    assert field in drift.field


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["$ref", "allOf", "anyOf", "properties", "required", "type", "items", "get", "post",
             "requestBody", "content", "application/json", "schema", "parameters", "responses",
             "200", "in", "name", "additionalProperties"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=15,
)  # fmt: skip


@given(json)
def test_no_document_breaks_it(value: object) -> None:
    """Whatever a server calls its schema."""
    find_drift({"paths": {use.path: value for use in USES}})


@pytest.mark.parametrize("entry", ["a", "c"])
def test_a_circle_of_references_ends(entry: str) -> None:
    """As anything else does."""
    circle = {
        "a": {"$ref": "#/components/b"},
        "b": {"$ref": "#/components/a"},
        "c": {"properties": {"org_id": {"oneOf": [{"$ref": "#/components/d"}] * 2}}},
        "d": {"oneOf": [{"$ref": "#/components/d"}] * 2},
    }
    schema = {"content": {"application/json": {"schema": {"$ref": f"#/components/{entry}"}}}}
    document = {
        "components": circle,
        "paths": {"/v1/quota/status": {"get": {"responses": {"200": schema}}}},
    }
    fields = {drift.field for drift in find_drift(document, (STATUS,))}
    assert "answer field `org_id`" not in fields
