"""The quota endpoints (contract, Quotas)."""

from __future__ import annotations

from sidecar.local_platform import choices
from sidecar.local_platform.access import AccessKind, OrgCaller, ProductCaller
from sidecar.local_platform.endpoint import AnyEndpoint, Asked, Endpoint
from sidecar.local_platform.quota_book import QuotaBook
from sidecar.local_platform.rejection import Rejection
from sidecar.local_platform.wire import (
    BreakdownReply,
    ConsumeBody,
    ConsumeReply,
    NoBody,
    NoQuery,
    StatusReply,
)


def quota_endpoints(
    book: QuotaBook, product: AccessKind[ProductCaller], reader: AccessKind[OrgCaller]
) -> list[AnyEndpoint]:
    """Return consume for products, status and breakdown for orgs."""

    async def consume(asked: Asked[ProductCaller, ConsumeBody, NoQuery]) -> ConsumeReply:
        """Count units of a resource for an org, or refuse them."""
        if asked.store_down:
            return book.consume_with_store_down(asked.body.resource)
        return book.consume(asked.caller.product, asked.body)

    async def status(asked: Asked[OrgCaller, NoBody, NoQuery]) -> StatusReply:
        """The quotas of the key's own org."""
        org_id = _org_of(asked)
        return StatusReply(org_id=org_id, quotas=book.status(org_id))

    async def breakdown(asked: Asked[OrgCaller, NoBody, NoQuery]) -> BreakdownReply:
        """The same, split by product."""
        org_id = _org_of(asked)
        return BreakdownReply(org_id=org_id, products=book.breakdown(org_id))

    return [
        Endpoint(
            "POST /v1/quota/consume",
            consume,
            product,
            rejects=(choices.NOT_ENTITLED, choices.UNKNOWN_ORG, choices.CONFLICTING_KEY),
        ),
        Endpoint(
            "GET /v1/quota/status",
            status,
            reader,
            rejects=(choices.STORE_DOWN_ELSEWHERE,),
        ),
        Endpoint(
            "GET /v1/quota/breakdown",
            breakdown,
            reader,
            rejects=(choices.STORE_DOWN_ELSEWHERE,),
        ),
    ]


def _org_of(asked: Asked[OrgCaller, NoBody, NoQuery]) -> str:
    if asked.store_down:
        raise Rejection(choices.STORE_DOWN_ELSEWHERE, "the quota store is down")
    return asked.caller.org_id
