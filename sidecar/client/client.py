"""Every documented endpoint of the platform, typed: for products, the command line, the sidecar.

Not the sidecar's own consume call, which is hot: see `consume`. Source of paths, fields and
credentials: the platform's contract, Endpoints.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Final, Self, TypeVar
from urllib.parse import quote, urlsplit

from sidecar.client import reading
from sidecar.client.errors import (
    CredentialMissingError,
    OverQuotaError,
    UnreadableAnswerError,
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
    VerifiedToken,
    Webhook,
    WebhookDelivery,
    WebhookTest,
    WorkspaceRecord,
)
from sidecar.client.transport import Patience, Reply, Request, Transport
from sidecar.domain.model import Resource
from sidecar.settings.secret import Secret

Credential = Secret | str | Callable[[], str]
"""A key, or what returns the one in force: a file that is read again when it changes."""

T = TypeVar("T")

DEFAULT_URL: Final = "https://api.bizbasics.ai"
DEFAULT_AUTH_URL: Final = "https://auth.bizbasics.ai"
_RECORDS: Final = "/v1/workspace-records"
_PAGE: Final = 50


class PlatformClient:
    """The platform, for the time of an `async with` block.

    A call is given `patience`. It is sent again, within its deadline, only where that is safe:
    reads, publishing a record (an upsert), consuming (under one idempotency key), and anything of
    which no byte had left. Every call raises PlatformError, or CredentialMissingError when the
    client was made without the key that it needs.
    """

    def __init__(
        self,
        *,
        internal_key: Credential | None = None,
        api_key: Credential | None = None,
        url: str = DEFAULT_URL,
        auth_url: str = DEFAULT_AUTH_URL,
        patience: Patience | None = None,
        chance: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take the `bbas_` key of a product, the `bbk_` key of an org, or both.

        `chance` (0 to 1) and `sleep` are for tests. Raises ValueError for a URL that is none.
        """
        self._url = _origin(url)
        self._auth_url = _origin(auth_url)
        self._internal_key = _reader(internal_key)
        self._api_key = _reader(api_key)
        patience = patience or Patience()
        self._transport = (
            Transport(patience, sleep=sleep)
            if chance is None
            else Transport(patience, chance=chance, sleep=sleep)
        )

    async def __aenter__(self) -> Self:
        await self._transport.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._transport.close()

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
        request = self._as_product("POST", "/v1/quota/consume", body=body, repeatable=True)
        return await self._read(
            request, lambda value: reading.read_consumption(value, str(resource), key)
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
        return await self._read(self._as_org("GET", "/v1/quota/status"), reading.read_status)

    async def quota_breakdown(self) -> QuotaBreakdown:
        """Return the same, split by product. Key: `bbk_`."""
        return await self._read(self._as_org("GET", "/v1/quota/breakdown"), reading.read_breakdown)

    # Workspace records

    async def publish_record(self, record: NewRecord) -> PublishedRecord:
        """Publish a record, or change the one of the same source. Key: `bbk_` with write."""
        body = _given(
            org_id=record.org_id,
            source_product=record.source_product,
            record_type=record.record_type,
            source_ref=record.source_ref,
            title=record.title,
            subtitle=record.subtitle,
            summary_text=record.summary_text,
            app_href=record.app_href,
            status=record.status,
            meta=dict(record.meta) or None,
        )
        request = self._as_org("POST", _RECORDS, body=body, repeatable=True)
        return await self._read(request, reading.read_published)

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
        query = _query(
            record_type=record_type,
            source_product=source_product,
            status=status,
            limit=limit,
            offset=offset,
        )
        return await self._read(self._as_org("GET", _RECORDS, query=query), reading.read_page)

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
        return await self._read(self._as_org("GET", "/v1/catalog"), reading.read_catalog)

    async def search(
        self,
        q: str,
        *,
        record_type: str | None = None,
        product: str | None = None,
        limit: int | None = None,
    ) -> tuple[FoundRecord, ...]:
        """Search the text of the org's records, best match first. Key: `bbk_`."""
        query = _query(q=q, record_type=record_type, product=product, limit=limit)
        request = self._as_org("GET", "/v1/org/retrieve", query=query)
        return await self._read(request, reading.read_found)

    # Webhooks

    async def register_webhook(self, url: str, event_types: Sequence[str]) -> Webhook:
        """Register an endpoint of the product; keep the secret: it is shown once. Key: `bbas_`.

        Not repeated once it was sent: it may make a second endpoint, or another secret.
        """
        body = {"url": url, "event_types": list(event_types)}
        request = self._as_product("POST", "/v1/webhooks", body=body)
        return await self._read(request, reading.read_webhook)

    async def test_webhook(self, webhook_id: str) -> WebhookTest:
        """Have `webhook.test` sent to an endpoint. Key: `bbas_`."""
        path = f"/v1/webhooks/{quote(webhook_id, safe='')}/test"
        return await self._read(self._as_product("POST", path), reading.read_webhook_test)

    # Debugging, schema

    async def webhook_deliveries(self, limit: int | None = None) -> tuple[WebhookDelivery, ...]:
        """Return recent deliveries, newest first. Key: `bbk_`."""
        request = self._as_org("GET", "/v1/dev/webhook-deliveries", query=_query(limit=limit))
        return await self._read(request, reading.read_deliveries)

    async def api_requests(self, limit: int | None = None) -> tuple[ApiRequest, ...]:
        """Return recent calls made with the same key, newest first. Key: `bbk_`."""
        request = self._as_org("GET", "/v1/dev/api-requests", query=_query(limit=limit))
        return await self._read(request, reading.read_requests)

    async def openapi(self) -> Mapping[str, object]:
        """Return the live OpenAPI document. No key."""
        request = Request("GET", self._url, "/openapi.json", repeatable=True)
        return await self._read(request, reading.members_of)

    # Auth host

    async def auth_host(self) -> AuthHostState:
        """Return the auth host's public keys and the time by its clock. No key."""
        request = Request("GET", self._auth_url, "/.well-known/jwks.json", repeatable=True)
        reply = await self._transport.ask(request)
        return AuthHostState(_understood(request, reply, reading.read_keys), reply.date)

    async def verify_app_token(self, token: str | Secret) -> VerifiedToken:
        """Ask the auth host whom a `bb_at` speaks for. Key: `bbas_`.

        For rare use: `sidecar.identity` verifies tokens here, without a call for each.
        """
        value = token.reveal() if isinstance(token, Secret) else token
        request = self._as_product(
            "GET",
            "/api/v1/internal/verify-app-token",
            query={"token": value},
            origin=self._auth_url,
            repeatable=True,
        )
        either = replace(request, key="bbas_ key or the token")
        return await self._read(either, reading.read_verified)

    # inside

    def _as_product(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str] | None = None,
        origin: str | None = None,
        repeatable: bool = False,
    ) -> Request:
        if self._internal_key is None:
            raise CredentialMissingError(
                f"{method} {path} needs the product's bbas_ key: give `internal_key`"
            )
        headers = {"X-Internal-Key": self._internal_key()}
        origin = origin or self._url
        return Request(method, origin, path, repeatable, headers, query or {}, body, "bbas_ key")

    def _as_org(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
    ) -> Request:
        if self._api_key is None:
            raise CredentialMissingError(f"{method} {path} needs an org's bbk_ key: give `api_key`")
        headers = {"Authorization": f"Bearer {self._api_key()}"}
        safe = method == "GET" if repeatable is None else repeatable
        return Request(method, self._url, path, safe, headers, query or {}, body, "bbk_ key")

    async def _read(self, request: Request, read: Callable[[object], T]) -> T:
        return _understood(request, await self._transport.ask(request), read)


def _understood(request: Request, reply: Reply, read: Callable[[object], T]) -> T:
    try:
        return read(reply.value)
    except reading.MisreadError as error:
        raise UnreadableAnswerError(
            request.name, "the answer is not as documented", detail=str(error)
        ) from error


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good, parts = False, urlsplit("")
    if not good or "@" in parts.netloc or parts.path not in {"", "/"} or parts.query:
        raise ValueError("a platform URL is scheme, host and port alone: https://api.bizbasics.ai")
    return f"{parts.scheme}://{parts.netloc}"


def _reader(credential: Credential | None) -> Callable[[], str] | None:
    match credential:
        case None:
            return None
        case Secret():
            return credential.reveal
        case str():
            return Secret(credential).reveal
        case _:
            return credential


def _given(**members: object) -> dict[str, object]:
    return {name: value for name, value in members.items() if value is not None}


def _query(**members: str | int | None) -> dict[str, str]:
    return {name: str(value) for name, value in members.items() if value is not None}
