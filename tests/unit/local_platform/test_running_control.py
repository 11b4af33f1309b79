"""Orgs and the list of consumes under `/_control`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.local_platform import acme


async def test_an_org_is_made(caller: acme.Caller) -> None:
    """Plan, apps, quotas and keys; it can be charged at once."""
    status, body = await caller.control(
        "PUT",
        "/orgs/org_new",
        {
            "plan": "pro",
            "apps": ["other"],
            "quotas": {"ai_calls": 2},
            "keys": [{"key": "bbk_new"}],
        },
    )

    assert (status, body["plan"], body["apps"]) == (200, "pro", ["other"])
    assert body["quotas"]["ai_calls"]["limit"] == 2
    assert (await caller.consume(org_id="org_new", internal_key=acme.OTHER_KEY))[0] == 200
    assert (await caller.read("/v1/quota/status", api_key="bbk_new"))[1]["org_id"] == "org_new"


async def test_what_is_left_out_stays(caller: acme.Caller) -> None:
    """A new plan alone changes neither apps nor limits nor what was used."""
    await caller.consume(amount=3)

    _, body = await caller.control("PUT", f"/orgs/{acme.ORG}", {"plan": "max"})

    assert (body["plan"], body["apps"]) == ("max", ["acme-notes"])
    assert body["quotas"]["ai_calls"]["used"] == 3


async def test_a_raised_limit_lets_in_at_once(caller: acme.Caller) -> None:
    """Who has just paid is not refused."""
    await caller.consume(amount=25)
    assert (await caller.consume())[1]["allowed"] is False

    await caller.control("PUT", f"/orgs/{acme.ORG}", {"quotas": {"ai_calls": 26}})

    assert (await caller.consume())[1]["allowed"] is True


async def test_an_app_taken_away_is_403(caller: acme.Caller) -> None:
    """The entitlement ends with the change."""
    await caller.control("PUT", f"/orgs/{acme.ORG}", {"apps": []})

    assert (await caller.consume())[0] == 403


async def test_a_resource_that_is_left_out_keeps_its_limit(caller: acme.Caller) -> None:
    """Also when others are changed; null removes the limit."""
    await caller.control("PUT", f"/orgs/{acme.ORG}", {"quotas": {"ai_calls": 7, "seats": 3}})
    _, body = await caller.control("PUT", f"/orgs/{acme.ORG}", {"quotas": {"seats": None}})

    assert {name: quota["limit"] for name, quota in body["quotas"].items()} == {
        "ai_calls": 7,
        "api_calls": -1,
    }


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("/orgs/org_acme", {"apps": ["nothing"]}, ["body", "apps"]),
        ("/orgs/org_acme", {"quotas": {"tokens": 1}}, ["body", "quotas"]),
        ("/orgs/org_acme", {"quotas": {"ai_calls": -2}}, ["body", "quotas"]),
        ("/orgs/org_acme", {"quota": {}}, ["body", "quota"]),
        ("/orgs/org_acme", {"keys": [{"key": "bbk_dev_bare"}]}, ["body", "keys"]),
        ("/orgs/org_acme", {"keys": [{"key": "bbk_x", "product": "other"}]}, ["body", "keys"]),
        ("/orgs/%20", {}, ["path", "id"]),
    ],
)
async def test_a_change_that_cannot_be(
    caller: acme.Caller, path: str, body: dict[str, Any], where: list[str]
) -> None:
    """422 names the field; another org's key cannot be taken over."""
    status, answer = await caller.control("PUT", path, body)

    assert status == 422
    assert answer["detail"][0]["loc"][:2] == where


async def test_a_change_that_cannot_be_changes_nothing(caller: acme.Caller) -> None:
    """All of it or none."""
    await caller.control("PUT", f"/orgs/{acme.ORG}", {"plan": "max", "apps": ["nothing"]})

    _, body = await caller.control("PUT", f"/orgs/{acme.ORG}", {})

    assert body["plan"] == "pro"


async def test_consumes_lists_what_was_counted(caller: acme.Caller) -> None:
    """Once per key, without what was refused, oldest first, for one org or for all."""
    await caller.consume(idempotency_key="a", amount=2)
    await caller.consume(idempotency_key="a", amount=2)
    await caller.consume(amount=1000)
    await caller.consume()

    status, listed = await caller.control("GET", f"/consumes?org_id={acme.ORG}")

    assert status == 200
    assert listed == [
        {
            "key": key,
            "org_id": acme.ORG,
            "product": "acme-notes",
            "resource": "ai_calls",
            "amount": amount,
            "at": "2025-10-09T08:53:20Z",
        }
        for key, amount in (("a", 2), (None, 1))
    ]
    assert (await caller.control("GET", "/consumes"))[1] == listed
    assert (await caller.control("GET", "/consumes?org_id=org_bare"))[1] == []
