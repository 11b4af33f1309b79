"""Every documented endpoint of the platform, typed: for products, the command line, the sidecar.

Not the sidecar's own consume call, which is hot: see `consume`. Source of paths, fields and
credentials: the platform's contract, Endpoints.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Final
from urllib.parse import quote

from sidecar.client.calls import PlatformCalls
from sidecar.client.errors import OverQuotaError
from sidecar.client.members import members_of
from sidecar.client.reading import (
    one,
    read_consumption,
    read_found,
    read_page,
    read_webhook_test,
    several,
)
from sidecar.client.results import (
    ApiRequest,
    AuthHostState,
    CatalogProduct,
    Consumption,
    FoundRecord,
    NewRecord,
    PublishedRecord,
    QuotaBreakdown,
    QuotaStatus,
    RecordPage,
    SigningKey,
    VerifiedToken,
    Webhook,
    WebhookDelivery,
    WebhookTest,
    WorkspaceRecord,
)
from sidecar.domain.model import Resource
from sidecar.settings.secret import BBAS_KEY, Secret

_RECORDS: Final = "/v1/workspace-records"
_PAGE: Final = 50


class PlatformClient(PlatformCalls):
    """The platform, for the time of an `async with` block.

    A call is given `patience`. It is sent again, within its deadline, only where that is safe:
    reads, publishing a record (an upsert), consuming (under one idempotency key), and anything of
    which no byte had left. Every call raises PlatformError, or CredentialMissingError when the
    client was made without the key that it needs.
    """

    # Quotas

    async def consume(
        self,
        org_id: str,
        resource: str,
        amount: int = 1,
        *,
        product_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Consumption:
        """Count `amount` units for an org, or be refused (`allowed` false, nothing counted).

        Without an `idempotency_key` a fresh one is made, so that repeats inside this call count
        once. Give one of your own where you might make the same call twice. Key: `bbas_`.
        """
        key = idempotency_key or f"client-{secrets.token_hex(16)}"
        body = _given(
            org_id=org_id,
            resource=str(resource),
            amount=amount,
            product_id=product_id,
            idempotency_key=key,
        )
        return await self._ask(
            self._as_product(self._post("/v1/quota/consume", body, repeatable=True)),
            lambda value: read_consumption(value, str(resource), key),
        )

    @contextlib.asynccontextmanager
    async def metered(
        self,
        org_id: str,
        resource: str = Resource.AI_CALLS,
        amount: int = 1,
        *,
        key: str | None = None,
        product_id: str | None = None,
    ) -> AsyncIterator[Consumption]:
        """Meter work that is not HTTP: the units are counted before the block runs.

        Raises OverQuotaError, before the block, when they are refused; PlatformError when the
        platform does not answer: the block does not run unmetered. The platform has no refund:
        a block that fails was paid for, and is tried again for nothing under the same `key`.
        """
        answer = await self.consume(
            org_id, resource, amount, idempotency_key=key, product_id=product_id
        )
        if not answer.allowed:
            raise OverQuotaError(org_id, amount, answer.quota)
        yield answer

    async def quota_status(self) -> QuotaStatus:
        """Return the quotas of the key's own org. Key: `bbk_`."""
        return await self._ask(self._as_org(self._get("/v1/quota/status")), one(QuotaStatus))

    async def quota_breakdown(self) -> QuotaBreakdown:
        """Return the same, split by product. Key: `bbk_`."""
        return await self._ask(self._as_org(self._get("/v1/quota/breakdown")), one(QuotaBreakdown))

    # Workspace records

    async def publish_record(self, record: NewRecord) -> PublishedRecord:
        """Publish a record, or change the one of the same source. Key: `bbk_` with write."""
        body = _given(**{**asdict(record), "meta": dict(record.meta) or None})
        request = self._post(_RECORDS, body, repeatable=True)
        return await self._ask(self._as_org(request), one(PublishedRecord))

    async def record_page(
        self,
        *,
        record_type: str | None = None,
        source_product: str | None = None,
        status: str | None = None,
        limit: int = _PAGE,
        offset: int = 0,
    ) -> RecordPage:
        """Return one page of the org's records. Key: `bbk_` with read."""
        request = self._get(
            _RECORDS,
            record_type=record_type,
            source_product=source_product,
            status=status,
            limit=limit,
            offset=offset,
        )
        return await self._ask(self._as_org(request), read_page)

    async def records(
        self,
        *,
        record_type: str | None = None,
        source_product: str | None = None,
        status: str | None = None,
        page_size: int = _PAGE,
    ) -> AsyncIterator[WorkspaceRecord]:
        """Go through all of the org's records, a page at a time. Key: `bbk_` with read.

        Records that are published meanwhile may be met twice or not at all.
        """
        offset = 0
        while True:
            page = await self.record_page(
                record_type=record_type,
                source_product=source_product,
                status=status,
                limit=page_size,
                offset=offset,
            )
            for record in page.records:
                yield record
            offset += len(page.records)
            if not page.records or offset >= page.total:
                return

    # Catalog, search

    async def catalog(self) -> tuple[CatalogProduct, ...]:
        """Return the products that the org can see. Key: `bbk_`."""
        read = several(CatalogProduct, "products", "catalog", "items")
        return await self._ask(self._as_org(self._get("/v1/catalog")), read)

    async def search(
        self,
        q: str,
        *,
        record_type: str | None = None,
        product: str | None = None,
        limit: int | None = None,
    ) -> tuple[FoundRecord, ...]:
        """Search the text of the org's records, best match first. Key: `bbk_`."""
        request = self._get(
            "/v1/org/retrieve", q=q, record_type=record_type, product=product, limit=limit
        )
        return await self._ask(self._as_org(request), read_found)

    # Webhooks

    async def register_webhook(self, url: str, event_types: Sequence[str]) -> Webhook:
        """Register an endpoint of the product; keep the secret: it is shown once. Key: `bbas_`.

        Not repeated once it was sent: it may make a second endpoint, or another secret.
        """
        request = self._post("/v1/webhooks", {"url": url, "event_types": list(event_types)})
        return await self._ask(self._as_product(request), one(Webhook))

    async def test_webhook(self, webhook_id: str) -> WebhookTest:
        """Have `webhook.test` sent to an endpoint. Key: `bbas_`."""
        request = self._post(f"/v1/webhooks/{quote(webhook_id, safe='')}/test", None)
        return await self._ask(self._as_product(request), read_webhook_test)

    # Debugging, schema

    async def webhook_deliveries(self, limit: int | None = None) -> tuple[WebhookDelivery, ...]:
        """Return recent deliveries, newest first. Key: `bbk_`."""
        request = self._get("/v1/dev/webhook-deliveries", limit=limit)
        read = several(WebhookDelivery, "deliveries", "webhook_deliveries", "items")
        return await self._ask(self._as_org(request), read)

    async def api_requests(self, limit: int | None = None) -> tuple[ApiRequest, ...]:
        """Return recent calls made with the same key, newest first. Key: `bbk_`."""
        request = self._get("/v1/dev/api-requests", limit=limit)
        read = several(ApiRequest, "requests", "api_requests", "items")
        return await self._ask(self._as_org(request), read)

    async def openapi(self) -> Mapping[str, object]:
        """Return the live OpenAPI document. No key."""
        return await self._ask(self._get("/openapi.json"), members_of)

    # Auth host

    async def auth_host(self) -> AuthHostState:
        """Return the auth host's public keys and the time by its clock. No key."""
        request = replace(self._get("/.well-known/jwks.json"), origin=self._auth_url)
        read = several(SigningKey, "keys")
        return AuthHostState(*await self._ask_dated(request, lambda value: read(members_of(value))))

    async def verify_app_token(self, token: str | Secret) -> VerifiedToken:
        """Ask the auth host whom a `bb_at` speaks for. Key: `bbas_`.

        For rare use: `sidecar.identity` verifies tokens here, without a call for each.
        """
        value = token.reveal() if isinstance(token, Secret) else token
        request = self._as_product(self._get("/api/v1/internal/verify-app-token", token=value))
        either = replace(request, origin=self._auth_url, key=f"{BBAS_KEY} or the token")
        return await self._ask(either, one(VerifiedToken))


def _given(**members: object) -> dict[str, object]:
    return {name: value for name, value in members.items() if value is not None}
