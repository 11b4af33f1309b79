"""The client against the local platform: every endpoint, and what goes wrong with keys."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from sidecar.client import (
    ConflictError,
    CredentialMissingError,
    CredentialRefusedError,
    ForbiddenError,
    InvalidRequestError,
    NewRecord,
    NotFoundError,
    OverQuotaError,
    PlatformClient,
    UnavailableError,
    UnreadableAnswerError,
)
from sidecar.domain.model import Resource
from sidecar.local_platform import ApiKey, Faults, LocalPlatform, Seed, SeedOrg, SeedProduct
from sidecar.settings.secret import Secret
from tests.fakes.platforms import Said, WaywardPlatform

ORG = "org_acme"
PRODUCT = "acme-notes"
AI = Resource.AI_CALLS


@pytest.fixture
async def local() -> AsyncIterator[LocalPlatform]:
    """A platform with one product and one org."""
    seed = Seed(
        products=[
            SeedProduct(slug=PRODUCT, key="bbas_client"),
            SeedProduct(slug="other", key="bbas_o"),
        ],
        orgs=[
            SeedOrg(
                id=ORG,
                plan="pro",
                apps=[PRODUCT],
                quotas={AI: 25},
                keys=[
                    ApiKey(key="bbk_client", product=PRODUCT),
                    ApiKey(key="bbk_reads", scopes=["read"]),
                ],
            )
        ],
    )
    async with LocalPlatform(seed=seed) as platform:
        yield platform


@pytest.fixture
async def client(local: LocalPlatform) -> AsyncIterator[PlatformClient]:
    """A client with both keys."""
    async with made(local) as client:
        yield client


async def _at_once(_seconds: float) -> None:
    """Wait for nothing."""


def made(
    local: LocalPlatform, internal_key: str = "bbas_client", api_key: str = "bbk_client"
) -> PlatformClient:
    """A client that does not wait between attempts."""
    return PlatformClient(
        internal_key=internal_key,
        api_key=Secret(api_key),
        url=local.url,
        auth_url=local.url,
        sleep=_at_once,
    )


def record(ref: str = "n1", title: str = "Budget") -> NewRecord:
    """A record to publish."""
    return NewRecord(ORG, PRODUCT, "note", ref, title, subtitle="of 2025", meta={"pages": 3})


async def test_consume_counts(client: PlatformClient) -> None:
    """And tells what is left."""
    told = await client.consume(ORG, AI, 3, product_id=PRODUCT)
    assert (told.allowed, told.quota.used, told.quota.remaining) == (True, 3, 22)


async def test_a_consume_that_was_dropped_after_it_was_counted_counts_once(
    local: LocalPlatform, client: PlatformClient
) -> None:
    """The repeat carries the same key, also where the caller gave none."""
    local.set_faults(Faults(drop_after_commit=True, error_rate=0.5, seed=1))
    for _ in range(5):
        await client.consume(ORG, AI)
    assert sum(each.amount for each in local.consumes(ORG)) == 5


async def test_over_quota_is_an_answer(client: PlatformClient) -> None:
    """Not an error: `metered` makes one of it."""
    assert not (await client.consume(ORG, AI, 26)).allowed


async def test_metered_work_runs_once_it_is_paid_for(
    local: LocalPlatform, client: PlatformClient
) -> None:
    """The block sees what is left."""
    async with client.metered(ORG, AI, 5, key="job-1", product_id=PRODUCT) as told:
        assert [each.amount for each in local.consumes(ORG)] == [5]
        assert told.quota.remaining == 20


async def test_metered_work_over_quota_does_not_run(client: PlatformClient) -> None:
    """The typed error carries the state."""
    with pytest.raises(OverQuotaError) as raised:
        async with client.metered(ORG, AI, 26):
            pytest.fail("the block ran")
    assert raised.value.quota.limit == 25


async def test_metered_work_without_an_answer_does_not_run(local: LocalPlatform) -> None:
    """Nothing defaults to allow."""
    local.set_faults(Faults(status=501))
    async with made(local) as client:
        with pytest.raises(UnavailableError):
            async with client.metered(ORG, AI):
                pytest.fail("the block ran")


async def test_work_that_failed_is_tried_again_for_nothing(
    local: LocalPlatform, client: PlatformClient
) -> None:
    """Under the same key."""
    for _ in range(2):
        async with client.metered(ORG, AI, key="job-2"):
            pass
    assert len(local.consumes(ORG)) == 1


async def test_a_key_of_another_charge_is_a_conflict(client: PlatformClient) -> None:
    """Neither answer would be true."""
    await client.consume(ORG, AI, 1, idempotency_key="k")
    with pytest.raises(ConflictError):
        await client.consume(ORG, AI, 2, idempotency_key="k")


async def test_an_unknown_org_is_not_found(client: PlatformClient) -> None:
    """By its own class."""
    with pytest.raises(NotFoundError, match="org_nobody"):
        await client.consume("org_nobody", AI)


async def test_an_amount_that_is_none_names_the_field(client: PlatformClient) -> None:
    """As the platform names it."""
    with pytest.raises(InvalidRequestError, match=r"body\.amount"):
        await client.consume(ORG, AI, 0)


async def test_status_and_breakdown(client: PlatformClient) -> None:
    """By resource, and by product."""
    await client.consume(ORG, AI, 4)
    assert (await client.quota_status()).quotas["ai_calls"].used == 4
    assert (await client.quota_breakdown()).products[PRODUCT]["ai_calls"].used == 4


async def test_publishing_twice_is_one_record(client: PlatformClient) -> None:
    """The same source."""
    first = await client.publish_record(record())
    second = await client.publish_record(record(title="Budget, again"))
    assert first == second
    (found,) = [each async for each in client.records(record_type="note")]
    assert (found.title, found.meta) == ("Budget, again", {"pages": 3})


async def test_what_is_no_json_is_not_sent(client: PlatformClient) -> None:
    """A platform may take NaN, and nobody could read the record."""
    with pytest.raises(ValueError, match="JSON"):
        await client.publish_record(replace(record(), meta={"x": float("nan")}))
    assert [each async for each in client.records()] == []


async def test_records_are_paged(client: PlatformClient) -> None:
    """Every record once, whatever the size of a page."""
    refs = {f"n{number}" for number in range(7)}
    for ref in refs:
        await client.publish_record(record(ref))
    found = [each.source_ref async for each in client.records(page_size=3)]
    assert (sorted(found), len(found)) == (sorted(refs), 7)


async def test_catalog(client: PlatformClient) -> None:
    """What the org has and what it could have."""
    found = {each.product_id: each.entitled for each in await client.catalog()}
    assert found == {PRODUCT: True, "other": False}


async def test_search(client: PlatformClient) -> None:
    """By a word of the text, within a product."""
    await client.publish_record(record())
    (found,) = await client.search("budget", product=PRODUCT, limit=5)
    assert found.record.source_ref == "n1"


async def test_webhooks(local: LocalPlatform, client: PlatformClient) -> None:
    """Registered, tested, and the delivery is listed."""
    webhook = await client.register_webhook(f"{local.url}/hook", ["org.*"])
    test = await client.test_webhook(webhook.id)
    listed = await client.webhook_deliveries(5)
    assert [(each.id, each.event) for each in listed] == [(test.delivery_id, "webhook.test")]


async def test_recent_requests(client: PlatformClient) -> None:
    """Made with the same key, newest first."""
    await client.catalog()
    assert (await client.api_requests(1))[0].path == "/v1/catalog"


async def test_openapi(client: PlatformClient) -> None:
    """The document, as it is."""
    assert "paths" in await client.openapi()


async def test_the_auth_host(client: PlatformClient) -> None:
    """Its keys, and its clock."""
    host = await client.auth_host()
    assert host.keys[0].kty == "RSA"
    assert host.date is not None


async def test_verifying_a_token(local: LocalPlatform, client: PlatformClient) -> None:
    """By the auth host's word."""
    told = await client.verify_app_token(local.mint_token(ORG))
    assert (told.org_id, told.apps, told.plan) == (ORG, (PRODUCT,), "pro")


async def test_a_token_is_in_no_error(client: PlatformClient) -> None:
    """It went out in the query."""
    token = "eyJ.a-token-of-nobody.x"
    with pytest.raises(CredentialRefusedError) as raised:
        await client.verify_app_token(token)
    assert token not in str(raised.value)
    assert "the bbas_ key or the token was refused" in str(raised.value)


async def test_a_refused_key(local: LocalPlatform) -> None:
    """By its own class, without the key."""
    async with made(local, internal_key="bbas_wrong_key") as client:
        with pytest.raises(CredentialRefusedError) as raised:
            await client.consume(ORG, AI)
    assert "bbas_wrong_key" not in str(raised.value)


async def test_a_key_without_the_scope(local: LocalPlatform) -> None:
    """Reads, and may not publish."""
    async with made(local, api_key="bbk_reads") as client:
        with pytest.raises(ForbiddenError, match="write"):
            await client.publish_record(record())


async def test_a_missing_key_is_told_before_anything_is_sent() -> None:
    """Which one, and for what."""
    async with PlatformClient(internal_key="bbas_x", url="http://127.0.0.1:9") as client:
        with pytest.raises(CredentialMissingError, match="bbk_"):
            await client.catalog()


async def test_a_key_is_read_anew_for_each_call() -> None:
    """A rotated file counts at once."""
    keys = iter(["bbk_one", "bbk_two"])
    async with WaywardPlatform(Said(body={"products": []})) as platform:
        async with PlatformClient(api_key=lambda: next(keys), url=platform.url) as client:
            await client.catalog()
            await client.catalog()
        sent = [request.headers["Authorization"] for request in platform.requests]
    assert sent == ["Bearer bbk_one", "Bearer bbk_two"]


async def test_what_is_left_out_is_not_sent() -> None:
    """An empty field is not the same as none."""
    async with WaywardPlatform(Said(201, {"workspace_record_id": "r", "status": "active"})) as far:
        async with PlatformClient(api_key="bbk_x", url=far.url) as client:
            await client.publish_record(NewRecord("o", "p", "t", "r", "T"))
        assert set(json.loads(far.bodies[0])) == {
            "org_id", "source_product", "record_type", "source_ref", "title",
        }  # fmt: skip


async def test_an_answer_that_is_not_as_documented() -> None:
    """The text names the field."""
    async with (
        WaywardPlatform(Said(body={"org_id": "o", "quotas": {"ai_calls": {"used": 1}}})) as far,
        PlatformClient(api_key="bbk_x", url=far.url) as client,
    ):
        with pytest.raises(UnreadableAnswerError, match="ai_calls"):
            await client.quota_status()


@pytest.mark.parametrize(
    "url", ["", "api.bizbasics.ai", "ftp://x", "https://u:p@x", "https://x/v1", "http://x:99999"]
)
def test_a_url_that_is_none(url: str) -> None:
    """Told when the client is made."""
    with pytest.raises(ValueError, match="scheme, host and port"):
        PlatformClient(url=url)


def test_no_key_prints() -> None:
    """In a repr of the client or its parts."""
    client = PlatformClient(internal_key="bbas_hidden", api_key="bbk_hidden")
    assert "hidden" not in repr(client) + repr(vars(client))


def test_the_client_comes_without_the_data_plane() -> None:
    """A product that publishes records does not load an event loop, a parser and a proxy."""
    code = (
        "import sys; from sidecar.client import PlatformClient;"
        "print([m for m in sys.modules if m in ('uvloop', 'httptools', 'pydantic')"
        " or m.startswith(('sidecar.proxy', 'sidecar.admission'))])"
    )
    ran = subprocess.run(  # noqa: S603 - our own interpreter and our own code
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert ran.stdout.strip() == "[]"
