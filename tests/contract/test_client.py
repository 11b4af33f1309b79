"""The facts that the client relies on, asked through the client itself.

A fact holds here when the client reads the platform's answer: it is strict about every field that
the contract publishes.
"""

from __future__ import annotations

import uuid

import pytest

from sidecar.client import (
    ConflictError,
    CredentialRefusedError,
    ForbiddenError,
    InvalidRequestError,
    NewRecord,
    NotFoundError,
    OverQuotaError,
    PlatformClient,
)
from sidecar.commands.drift import find_drift
from tests.contract.target import Target

fact = pytest.mark.fact

TYPE = "contract_client_test"


def fresh() -> str:
    """A key that no run used before."""
    return f"contract-{uuid.uuid4()}"


def note(target: Target, ref: str = "client", title: str = "Contract goldcrest") -> NewRecord:
    """One of the two records that this suite keeps in the org."""
    return NewRecord(
        target.org_id,
        target.product,
        TYPE,
        ref,
        title,
        subtitle="kept by the contract tests",
        summary_text="May be removed.",
        meta={"kept_by": "contract tests"},
    )


@fact("api", "the client's consume is read: allowed and a whole quota")
async def test_consume(client: PlatformClient, target: Target) -> None:
    """For the resource that was asked."""
    told = await client.consume(target.org_id, target.resource, product_id=target.product)

    assert told.allowed
    assert told.quota.resource == target.resource


@fact("api", "the client's repeat under one key counts once")
async def test_metered_twice(client: PlatformClient, target: Target) -> None:
    """Work that failed and is tried again."""
    key = fresh()
    before = (await client.quota_status()).quotas[target.resource].used
    for _ in range(2):
        async with client.metered(target.org_id, target.resource, 2, key=key):
            pass

    assert (await client.quota_status()).quotas[target.resource].used == before + 2


@fact("api", "the client's metered work over the limit does not run")
async def test_metered_over_quota(client: PlatformClient, target: Target) -> None:
    """Refused is an answer, and a typed error."""
    quota = (await client.quota_status()).quotas[target.resource]
    if quota.unlimited:
        pytest.skip("this org's resource is unlimited: nothing is over its limit")
    with pytest.raises(OverQuotaError):
        async with client.metered(target.org_id, target.resource, quota.remaining + 1):
            pytest.fail("the block ran")


@fact("ours", "the client tells a key of another charge by 409")
async def test_a_conflict(client: PlatformClient, target: Target) -> None:
    """ConflictError."""
    key = fresh()
    await client.consume(target.org_id, target.resource, idempotency_key=key)
    with pytest.raises(ConflictError):
        await client.consume(target.org_id, target.resource, 2, idempotency_key=key)


@fact("ours", "the client tells an unknown org by 404")
async def test_an_unknown_org(client: PlatformClient, target: Target) -> None:
    """NotFoundError."""
    with pytest.raises(NotFoundError):
        await client.consume(f"org_{uuid.uuid4().hex}", target.resource)


@fact("ours", "a product_id that is not the key's own is 403, whatever the org")
async def test_a_foreign_product(client: PlatformClient, target: Target) -> None:
    """What the doctor looks at; an org that cannot be, so that nothing is counted."""
    with pytest.raises(ForbiddenError):
        await client.consume(
            f"org_{uuid.uuid4().hex}", target.resource, product_id="no-such-product"
        )


@fact("ours", "a 422 names its field as loc")
async def test_a_bad_amount(client: PlatformClient, target: Target) -> None:
    """InvalidRequestError with the field in its detail."""
    with pytest.raises(InvalidRequestError, match="amount"):
        await client.consume(target.org_id, target.resource, 0)


@fact("api", "the client tells a wrong bbas_ key and a wrong bbk_ key by 401")
async def test_wrong_keys(target: Target) -> None:
    """CredentialRefusedError for each."""
    async with PlatformClient(
        internal_key="bbas_wrong", api_key="bbk_wrong", url=target.url
    ) as stranger:
        with pytest.raises(CredentialRefusedError):
            await stranger.consume(target.org_id, target.resource)
        with pytest.raises(CredentialRefusedError):
            await stranger.quota_status()


@fact("ours", "a webhook that is not there is 404 for its test")
async def test_a_webhook_that_is_not_there(client: PlatformClient) -> None:
    """How the doctor tells that a bbas_ key is good."""
    with pytest.raises(NotFoundError):
        await client.test_webhook(f"none-{uuid.uuid4().hex}")


@fact("api", "status is of the key's own org; each quota is whole")
async def test_status(client: PlatformClient, target: Target) -> None:
    """As the client reads it."""
    told = await client.quota_status()

    assert told.org_id == target.org_id
    assert target.resource in told.quotas


@fact("ours", "the breakdown is read by product and resource")
async def test_breakdown(client: PlatformClient, target: Target) -> None:
    """The product that consumed is in it."""
    await client.consume(target.org_id, target.resource)
    told = await client.quota_breakdown()

    assert told.products[target.product][target.resource].used >= 1


@fact("api", "publishing again through the client changes the one record")
async def test_publish(client: PlatformClient, target: Target) -> None:
    """The same ID, the new title."""
    first = await client.publish_record(note(target))
    second = await client.publish_record(note(target, title="Contract goldcrest again"))

    assert first.workspace_record_id == second.workspace_record_id


@fact("ours", "records are paged by limit, offset and total, each met once")
async def test_paging(client: PlatformClient, target: Target) -> None:
    """Two records, one to a page."""
    for ref in ("client", "client-2"):
        await client.publish_record(note(target, ref))
    found = [
        record.source_ref
        async for record in client.records(
            record_type=TYPE, source_product=target.product, page_size=1
        )
    ]

    assert sorted(found) == ["client", "client-2"]


@fact("api", "record_type filters the records")
async def test_filter(client: PlatformClient) -> None:
    """A type that nobody has."""
    assert [record async for record in client.records(record_type=fresh())] == []


@fact("api", "the catalog has the key's product, entitled")
async def test_catalog(client: PlatformClient, target: Target) -> None:
    """Under its slug [ours as to the name of the field]."""
    entitled = {each.product_id: each.entitled for each in await client.catalog()}

    assert entitled[target.product] is True


@fact("ours", "search answers records, found by a word of the title")
async def test_search(client: PlatformClient, target: Target) -> None:
    """Within the product and type."""
    await client.publish_record(note(target))
    found = await client.search("goldcrest", record_type=TYPE, product=target.product)

    assert "client" in {each.record.source_ref for each in found}


@fact("ours", "registering a webhook answers its id beside the secret")
async def test_webhook(client: PlatformClient, target: Target) -> None:
    """And its test is listed among the deliveries."""
    if not target.webhook_url:
        pytest.skip("no BIZBASICS_CONTRACT_WEBHOOK_URL to register")
    webhook = await client.register_webhook(target.webhook_url, ["org.created"])
    await client.test_webhook(webhook.id)

    assert "webhook.test" in {each.event for each in await client.webhook_deliveries(20)}


@fact("ours", "families of events (org.*) can be registered for")
async def test_families(client: PlatformClient, target: Target) -> None:
    """What `run --webhook-url` asks for first."""
    if not target.webhook_url:
        pytest.skip("no BIZBASICS_CONTRACT_WEBHOOK_URL to register")
    assert (await client.register_webhook(target.webhook_url, ["org.*"])).secret.reveal()


@fact("api", "recent requests tell method, path and status of calls with the key")
async def test_requests(client: PlatformClient) -> None:
    """The one that was just made is among them."""
    await client.catalog()

    assert "/v1/catalog" in {each.path for each in await client.api_requests(20)}


@fact("sso", "the auth host sends its Date, and keys of type RSA")
async def test_auth_host(client: PlatformClient) -> None:
    """What the doctor looks at."""
    host = await client.auth_host()

    assert host.date is not None
    assert {key.kty for key in host.keys} == {"RSA"}


@fact("scaffold", "verify-app-token tells user, org, role, apps and plan of a bb_at")
async def test_verify(client: PlatformClient, target: Target) -> None:
    """By the auth host's word."""
    if not target.token:
        pytest.skip("no BIZBASICS_CONTRACT_TOKEN to verify")
    told = await client.verify_app_token(target.token)

    assert told.org_id == target.org_id
    assert target.product in told.apps


@fact("api", "the live OpenAPI has every published field that the client uses")
async def test_drift(client: PlatformClient) -> None:
    """Each that is missing is named."""
    drifts = find_drift(await client.openapi())

    assert [str(drift) for drift in drifts if not drift.ours] == []


@fact("ours", "the live OpenAPI has the shapes that we chose")
async def test_drift_of_ours(client: PlatformClient) -> None:
    """Breakdown, records and catalog."""
    drifts = find_drift(await client.openapi())

    assert [str(drift) for drift in drifts if drift.ours] == []
