"""Webhooks and the debugging lists over real HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.local_platform import LocalPlatform
from tests.unit.local_platform import acme
from tests.unit.local_platform.hooks import Receiver

WEBHOOKS = "/v1/webhooks"


async def register(caller: acme.Caller, url: str, *types: str) -> dict[str, Any]:
    """Register an endpoint for these events, or for all."""
    status, body = await caller.as_product(
        "POST", WEBHOOKS, {"url": url, "event_types": list(types or ("*",))}
    )
    assert status == 201
    registered: dict[str, Any] = body
    return registered


async def test_a_test_is_delivered_and_signed(
    caller: acme.Caller, platform: LocalPlatform, receiver: Receiver
) -> None:
    """The contract's body, event and signature over the raw bytes."""
    endpoint = await register(caller, receiver.url, "org.created")
    status, body = await caller.as_product("POST", f"{WEBHOOKS}/{endpoint['id']}/test")
    await platform.deliver_due()

    assert (status, body["event"]) == (202, "webhook.test")
    (received,) = receiver.received
    assert received.event == "webhook.test"
    assert received.is_signed_with(endpoint["secret"])
    assert set(received.body) == {"test", "endpoint_id", "product_id", "triggered_at", "message"}
    assert received.body["test"] is True
    assert received.body["endpoint_id"] == endpoint["id"]


async def test_changes_of_an_org_are_told(
    caller: acme.Caller, platform: LocalPlatform, receiver: Receiver
) -> None:
    """A plan change tells the org's product that org and entitlement changed."""
    endpoint = await register(caller, receiver.url)
    await caller.control("PUT", f"/orgs/{acme.ORG}", {"plan": "max"})
    await platform.deliver_due()

    assert sorted(receiver.events) == ["entitlement.updated", "org.updated"]
    body = receiver.received[0].body
    assert (body["org_id"], body["product_id"]) == (acme.ORG, "acme-notes")
    assert body["data"]["plan"] == "max"
    assert receiver.received[0].is_signed_with(endpoint["secret"])


async def test_only_the_products_concerned_are_told(
    caller: acme.Caller, platform: LocalPlatform, receiver: Receiver
) -> None:
    """An org without the product is no business of its endpoint."""
    await register(caller, receiver.url)
    await caller.control("PUT", "/orgs/org_bare", {"plan": "max"})
    await platform.deliver_due()

    assert receiver.events == []


@pytest.mark.parametrize(
    ("types", "told"),
    [
        (["entitlement.updated"], ["entitlement.updated"]),
        (["org.*"], ["org.updated"]),
        (["*"], ["entitlement.updated", "org.updated"]),
        (["member.*", "webhook.test"], []),
    ],
)
async def test_an_endpoint_gets_what_it_asked_for(
    caller: acme.Caller,
    platform: LocalPlatform,
    receiver: Receiver,
    types: list[str],
    told: list[str],
) -> None:
    """By name, by family, or all."""
    await register(caller, receiver.url, *types)
    await caller.control("PUT", f"/orgs/{acme.ORG}", {"plan": "max"})
    await platform.deliver_due()

    assert sorted(receiver.events) == told


async def test_registering_again_renews_the_secret(
    caller: acme.Caller, platform: LocalPlatform, receiver: Receiver
) -> None:
    """The same endpoint; only the new secret signs."""
    first = await register(caller, receiver.url)
    second = await register(caller, receiver.url)
    await caller.as_product("POST", f"{WEBHOOKS}/{second['id']}/test")
    await platform.deliver_due()

    assert first["id"] == second["id"]
    (received,) = receiver.received
    assert received.is_signed_with(second["secret"])
    assert not received.is_signed_with(first["secret"])


async def test_another_products_endpoint_is_not_there(
    caller: acme.Caller, receiver: Receiver
) -> None:
    """404, as for one that never was."""
    endpoint = await register(caller, receiver.url)
    for path in (f"{WEBHOOKS}/{endpoint['id']}/test", f"{WEBHOOKS}/wh_none/test"):
        status, _ = await caller.as_product("POST", path, internal_key=acme.OTHER_KEY)
        assert status == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": "http://x"},
        {"url": "ftp://x", "event_types": ["a"]},
        {"url": "http:///x", "event_types": ["a"]},
        {"url": "x", "event_types": ["a"]},
        {"url": "http://x y", "event_types": ["a"]},
        {"url": "http://x", "event_types": []},
        {"url": "http://x", "event_types": "a"},
        {"url": "http://x", "event_types": [""]},
        {"url": "http://x", "event_types": ["org"]},
        {"url": "http://x", "event_types": ["org.creatd"]},
    ],
)
async def test_a_registration_that_does_not_fit_is_422(caller: acme.Caller, body: Any) -> None:
    """An http(s) URL with a host, and a list of names."""
    assert (await caller.as_product("POST", WEBHOOKS, body))[0] == 422


async def test_deliveries_are_listed_newest_first(
    caller: acme.Caller, platform: LocalPlatform, receiver: Receiver
) -> None:
    """What was sent, where, and how it went."""
    endpoint = await register(caller, receiver.url)
    await caller.control("PUT", f"/orgs/{acme.ORG}", {"name": "Acme"})
    await caller.as_product("POST", f"{WEBHOOKS}/{endpoint['id']}/test")
    await platform.deliver_due()

    _, body = await caller.read("/v1/dev/webhook-deliveries")

    assert [each["event"] for each in body["deliveries"]] == ["webhook.test", "org.updated"]
    newest = body["deliveries"][0]
    assert (newest["state"], newest["attempts"], newest["last_status"]) == ("delivered", 1, 200)
    assert newest["url"] == receiver.url
    assert endpoint["secret"] not in str(body)


async def test_deliveries_of_others_are_not_shown(caller: acme.Caller, receiver: Receiver) -> None:
    """An org without the product sees nothing of it."""
    endpoint = await register(caller, receiver.url)
    await caller.control("PUT", f"/orgs/{acme.ORG}", {"name": "Acme"})
    await caller.as_product("POST", f"{WEBHOOKS}/{endpoint['id']}/test")

    _, body = await caller.read("/v1/dev/webhook-deliveries", api_key="bbk_dev_bare")

    assert body["deliveries"] == []


async def test_a_product_that_the_org_lost_is_shown_to_none_of_its_keys(
    caller: acme.Caller, receiver: Receiver
) -> None:
    """Not to one that is still bound to the product either."""
    endpoint = await register(caller, receiver.url)
    await caller.as_product("POST", f"{WEBHOOKS}/{endpoint['id']}/test")
    await caller.control("PUT", f"/orgs/{acme.ORG}", {"apps": []})

    for key in (acme.API_KEY, acme.BOUND_KEY):
        _, body = await caller.read("/v1/dev/webhook-deliveries", api_key=key)
        assert body["deliveries"] == []


async def test_requests_are_told_to_who_made_them(caller: acme.Caller) -> None:
    """Newest first, refused ones too, without the query; not those of another key."""
    await caller.read("/v1/quota/status")
    await caller.read("/v1/workspace-records?limit=0")
    await caller.read("/v1/catalog", api_key=acme.BOUND_KEY)

    status, body = await caller.read("/v1/dev/api-requests?limit=5")

    assert status == 200
    assert [(each["method"], each["path"], each["status"]) for each in body["requests"]] == [
        ("GET", "/v1/workspace-records", 422),
        ("GET", "/v1/quota/status", 200),
    ]
    assert body["requests"][0]["at"] == "2025-10-09T08:53:20Z"


async def test_a_call_that_a_key_has_no_scope_for_is_told_too(caller: acme.Caller) -> None:
    """It is the call that its maker wonders about."""
    await caller.publish(api_key=acme.READ_KEY)

    _, body = await caller.read("/v1/dev/api-requests", api_key=acme.READ_KEY)

    (told,) = body["requests"]
    assert (told["method"], told["path"], told["status"]) == ("POST", "/v1/workspace-records", 403)


async def test_a_limit_is_kept(caller: acme.Caller) -> None:
    """No more than asked for."""
    for _ in range(3):
        await caller.read("/v1/catalog")

    _, body = await caller.read("/v1/dev/api-requests?limit=2")

    assert len(body["requests"]) == 2


async def test_a_url_that_is_none_is_refused_in_words(caller: acme.Caller) -> None:
    """No pattern is shown to the reader."""
    _, body = await caller.as_product("POST", WEBHOOKS, {"url": "x", "event_types": ["*"]})

    assert body["detail"][0]["msg"].startswith("must be a URL such as")
