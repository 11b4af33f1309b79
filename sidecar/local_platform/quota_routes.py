"""The quota endpoints (contract, Quotas)."""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class QuotaRoutes:
    """Consume for products, status and breakdown for orgs."""

    _book: QuotaBook
    _product: AccessKind[ProductCaller]
    _reader: AccessKind[OrgCaller]

    def endpoints(self) -> list[AnyEndpoint]:
        """Return the endpoints, for serving and for the schema."""
        return [
            Endpoint(
                "POST /v1/quota/consume",
                self._consume,
                self._product,
                rejects=(choices.NOT_ENTITLED, choices.UNKNOWN_ORG, choices.CONFLICTING_KEY),
            ),
            Endpoint(
                "GET /v1/quota/status",
                self._status,
                self._reader,
                rejects=(choices.STORE_DOWN_ELSEWHERE,),
            ),
            Endpoint(
                "GET /v1/quota/breakdown",
                self._breakdown,
                self._reader,
                rejects=(choices.STORE_DOWN_ELSEWHERE,),
            ),
        ]

    async def _consume(self, asked: Asked[ProductCaller, ConsumeBody, NoQuery]) -> ConsumeReply:
        """Count units of a resource for an org, or refuse them."""
        if asked.store_down:
            return self._book.consume_with_store_down(asked.body.resource)
        return self._book.consume(asked.caller.product, asked.body)

    async def _status(self, asked: Asked[OrgCaller, NoBody, NoQuery]) -> StatusReply:
        """The quotas of the key's own org."""
        org_id = _org_of(asked)
        return StatusReply(org_id=org_id, quotas=self._book.status(org_id))

    async def _breakdown(self, asked: Asked[OrgCaller, NoBody, NoQuery]) -> BreakdownReply:
        """The same, split by product."""
        org_id = _org_of(asked)
        return BreakdownReply(org_id=org_id, products=self._book.breakdown(org_id))


def _org_of(asked: Asked[OrgCaller, NoBody, NoQuery]) -> str:
    if asked.store_down:
        raise Rejection(choices.STORE_DOWN_ELSEWHERE, "the quota store is down")
    return asked.caller.org_id
