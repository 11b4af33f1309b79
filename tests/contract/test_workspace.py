"""What the contract says of workspace records, catalog, search, webhooks and the schema."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.target import Client

fact = pytest.mark.fact

RECORDS = "/v1/workspace-records"


async def publish(platform: Client, **fields: Any) -> tuple[int, Any]:
    """Publish the one record that this suite keeps in the org."""
    body = {
        "org_id": platform.target.org_id,
        "source_product": platform.target.product,
        "record_type": "contract_test",
        "source_ref": "contract-test",
        "title": "Contract zebrafinch",
        **fields,
    }
    return await platform.as_org("POST", RECORDS, json=body)


@fact("api", "publishing a record is 201 with workspace_record_id and status active")
async def test_publish(platform: Client) -> None:
    """The two fields of the answer."""
    status, body = await publish(platform)

    assert (status, body["status"]) == (201, "active")
    assert body["workspace_record_id"]


@fact("api", "publishing is an upsert on org_id, source_product, record_type, source_ref")
async def test_upsert(platform: Client) -> None:
    """The same source is the same record."""
    _, first = await publish(platform)
    _, second = await publish(platform, title="Contract zebrafinch again")

    assert first["workspace_record_id"] == second["workspace_record_id"]


@fact("ours", "a key publishes for its own org only, else 403")
async def test_another_org(platform: Client) -> None:
    """Nobody writes into another org's workspace."""
    assert (await publish(platform, org_id="org_of_somebody_else"))[0] == 403


@fact("ours", "a record of a product that is not the key's or the org's is 403")
async def test_another_product(platform: Client) -> None:
    """Whether the key is bound to one or not."""
    assert (await publish(platform, source_product="no-such-product"))[0] == 403


@fact("ours", "a record without a required field is 422")
async def test_a_record_without_a_title(platform: Client) -> None:
    """`title` is required."""
    assert (await publish(platform, title=None))[0] == 422


@fact("ours", "listing answers records, total, limit and offset")
async def test_list(platform: Client) -> None:
    """Filtered to the suite's own record, one to a page."""
    await publish(platform)
    query = "?record_type=contract_test&limit=1&offset=0"
    status, body = await platform.as_org("GET", RECORDS + query)

    assert (status, body["limit"], body["offset"]) == (200, 1, 0)
    assert body["total"] >= 1
    assert body["records"][0]["record_type"] == "contract_test"


@fact("api", "the catalog tells of each product whether the org is entitled")
async def test_catalog(platform: Client) -> None:
    """A boolean each."""
    status, body = await platform.as_org("GET", "/v1/catalog")

    assert status == 200
    products = body["products"] if isinstance(body, dict) else body
    assert products
    assert all(isinstance(product["entitled"], bool) for product in products)


@fact("api", "search finds the org's records by their text")
async def test_search(platform: Client) -> None:
    """A word that only this suite uses."""
    await publish(platform)
    status, body = await platform.as_org("GET", "/v1/org/retrieve?q=zebrafinch")

    assert status == 200
    assert "zebrafinch" in str(body)


@fact("api", "search needs q")
async def test_search_needs_a_question(platform: Client) -> None:
    """422 without [ours as to the status]."""
    assert (await platform.as_org("GET", "/v1/org/retrieve"))[0] == 422


@fact("api", "registering a webhook shows its secret; a test of it can be asked for")
async def test_webhook(platform: Client) -> None:
    """With the product's secret."""
    url = platform.target.webhook_url
    if not url:
        pytest.skip("no BIZBASICS_CONTRACT_WEBHOOK_URL to register")
    asked = {"url": url, "event_types": ["org.created"]}
    status, body = await platform.as_product("POST", "/v1/webhooks", json=asked)

    assert status in (200, 201)
    assert body["secret"]
    status, _ = await platform.as_product("POST", f"/v1/webhooks/{body['id']}/test")
    assert status in (200, 201, 202)


@fact("api", "recent requests and deliveries can be listed")
@pytest.mark.parametrize("what", ["api-requests", "webhook-deliveries"])
async def test_debugging(platform: Client, what: str) -> None:
    """With a limit."""
    assert (await platform.as_org("GET", f"/v1/dev/{what}?limit=5"))[0] == 200


@fact("api", "openapi.json describes every endpoint that is used here")
@pytest.mark.parametrize(
    "path",
    [
        "/v1/quota/consume",
        "/v1/quota/status",
        "/v1/quota/breakdown",
        "/v1/workspace-records",
        "/v1/catalog",
        "/v1/org/retrieve",
        "/v1/webhooks",
        "/v1/dev/api-requests",
        "/v1/dev/webhook-deliveries",
    ],
)
async def test_schema(platform: Client, path: str) -> None:
    """By its path."""
    _, document = await platform.ask("GET", f"{platform.target.url}/openapi.json")

    assert path in document["paths"]
