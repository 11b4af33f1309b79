"""Workspace records, catalog and who may do what, over real HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.clock import TurnedClock
from tests.unit.local_platform import acme

RECORDS = "/v1/workspace-records"


async def titles(caller: acme.Caller, query: str = "") -> list[str]:
    """The titles of a page, in its order."""
    _, body = await caller.read(RECORDS + query)
    return [record["title"] for record in body["records"]]


async def test_a_record_is_published(caller: acme.Caller) -> None:
    """201, an id, and the status it has."""
    status, body = await caller.publish()

    assert (status, body["status"], set(body)) == (201, "active", {"workspace_record_id", "status"})


async def test_a_record_is_read_as_it_was_published(caller: acme.Caller) -> None:
    """Every field, meta whole, and times in UTC."""
    fields: dict[str, Any] = {
        "subtitle": "s",
        "summary_text": "t",
        "app_href": "/n/1",
        "status": "done",
        "meta": {"deep": [1, {"x": None}]},
    }
    _, made = await caller.publish(**fields)
    _, body = await caller.read(RECORDS)

    assert body == {
        "records": [
            {
                **made,
                "org_id": acme.ORG,
                "source_product": "acme-notes",
                "record_type": "note",
                "source_ref": "n1",
                "title": "A note",
                **fields,
                "created_at": "2025-10-09T08:53:20Z",
                "updated_at": "2025-10-09T08:53:20Z",
            }
        ],
        "total": 1,
        "limit": 50,
        "offset": 0,
    }


async def test_the_same_source_is_the_same_record(caller: acme.Caller, clock: TurnedClock) -> None:
    """Upsert: the id stays, the content and the time of the change are new."""
    _, first = await caller.publish(subtitle="old")
    clock.advance(60)
    _, second = await caller.publish(title="Another", status="archived")
    _, body = await caller.read(RECORDS)

    assert second == {**first, "status": "archived"}
    (record,) = body["records"]
    assert (record["title"], record["subtitle"]) == ("Another", None)
    assert (record["created_at"], record["updated_at"]) == (
        "2025-10-09T08:53:20Z",
        "2025-10-09T08:54:20Z",
    )


async def test_records_are_listed_newest_change_first_in_pages(
    caller: acme.Caller, clock: TurnedClock
) -> None:
    """Pages join without a gap or a repeat, and tell the total."""
    for number in range(5):
        await caller.publish(source_ref=f"n{number}", title=str(number))
        clock.advance(1)
    await caller.publish(source_ref="n0", title="0")

    pages = [await titles(caller, f"?limit=2&offset={offset}") for offset in (0, 2, 4, 6)]
    _, body = await caller.read(f"{RECORDS}?limit=1")

    assert pages == [["0", "4"], ["3", "2"], ["1"], []]
    assert body["total"] == 5


async def test_records_are_filtered(caller: acme.Caller) -> None:
    """By type, product and status, together."""
    await caller.control("PUT", f"/orgs/{acme.ORG}", {"apps": ["acme-notes", "other"]})
    await caller.publish(source_ref="a", title="a", record_type="task")
    await caller.publish(source_ref="b", title="b", status="archived")
    await caller.publish(source_ref="c", title="c", source_product="other")

    assert await titles(caller, "?record_type=task") == ["a"]
    assert await titles(caller, "?status=archived") == ["b"]
    assert await titles(caller, "?source_product=other&record_type=note") == ["c"]
    assert await titles(caller, "?source_product=other&status=archived") == []


async def test_an_org_sees_its_own_records_alone(caller: acme.Caller) -> None:
    """Neither list nor search shows another org's."""
    await caller.publish()

    assert (await caller.read(RECORDS, api_key="bbk_dev_bare"))[1]["total"] == 0
    _, body = await caller.read("/v1/org/retrieve?q=note", api_key="bbk_dev_bare")
    assert body["results"] == []


@pytest.mark.parametrize(
    ("api_key", "fields", "status"),
    [
        (acme.READ_KEY, {}, 403),
        (acme.API_KEY, {"org_id": "org_bare"}, 403),
        (acme.BOUND_KEY, {"source_product": "other"}, 403),
        (acme.API_KEY, {"source_product": "other"}, 403),
        (acme.BOUND_KEY, {}, 201),
        (acme.WRITE_KEY, {}, 201),
        ("bbk_wrong", {}, 401),
    ],
)
async def test_who_may_publish_what(
    caller: acme.Caller, api_key: str, fields: dict[str, Any], status: int
) -> None:
    """The scope, the own org, the own product, one that the org has."""
    assert (await caller.publish(api_key=api_key, **fields))[0] == status


@pytest.mark.parametrize(
    "fields",
    [{"title": ""}, {"title": None}, {"source_ref": 7}, {"meta": []}, {"meta": "x"}, {"status": 1}],
)
async def test_a_record_that_does_not_fit_is_422(
    caller: acme.Caller, fields: dict[str, Any]
) -> None:
    """The field is named and nothing is published."""
    status, body = await caller.publish(**fields)

    assert status == 422
    assert body["detail"][0]["loc"][1] in fields
    assert await titles(caller) == []


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=x",
        "limit=5.0",
        "limit=%205",
        "offset=-1",
        "limit=1&limit=2",
        "record_type=",
    ],
)
async def test_a_query_that_does_not_fit_is_422(caller: acme.Caller, query: str) -> None:
    """Whole numbers in range, each parameter once."""
    status, body = await caller.read(f"{RECORDS}?{query}")

    assert (status, body["detail"][0]["loc"][0]) == (422, "query")


async def test_the_catalog_tells_what_the_org_has(caller: acme.Caller) -> None:
    """Every product, entitled or not."""
    assert await caller.read("/v1/catalog") == (
        200,
        {
            "products": [
                {"product_id": "acme-notes", "name": "Acme Notes", "entitled": True},
                {"product_id": "other", "name": "other", "entitled": False},
            ]
        },
    )
