"""Webhooks and the debugging lists (contract, Webhooks; Debugging, schema)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from sidecar.local_platform.access import AccessKind, OrgCaller, ProductCaller
from sidecar.local_platform.endpoint import AnyEndpoint, Asked, Endpoint
from sidecar.local_platform.request_log import RequestLog
from sidecar.local_platform.webhook_book import WebhookBook
from sidecar.local_platform.webhook_wire import (
    ApiRequestsReply,
    DeliveriesReply,
    WebhookBody,
    WebhookReply,
    WebhookTestReply,
)
from sidecar.local_platform.wire import NoBody, NoQuery, RecentQuery


@dataclass(frozen=True, slots=True)
class WebhookRoutes:
    """Endpoints of products, and what an org may see of them; `_wake` when a delivery is owed."""

    _book: WebhookBook
    _log: RequestLog
    _product: AccessKind[ProductCaller]
    _reader: AccessKind[OrgCaller]
    _wake: Callable[[], None]

    def endpoints(self) -> list[AnyEndpoint]:
        """Return the endpoints, for serving and for the schema."""
        return [
            Endpoint("POST /v1/webhooks", self._register, self._product, status=HTTPStatus.CREATED),
            Endpoint(
                "POST /v1/webhooks/{id}/test",
                self._test,
                self._product,
                status=HTTPStatus.ACCEPTED,
                rejects=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
            ),
            Endpoint("GET /v1/dev/api-requests", self._requests, self._reader),
            Endpoint("GET /v1/dev/webhook-deliveries", self._deliveries, self._reader),
        ]

    async def _register(self, asked: Asked[ProductCaller, WebhookBody, NoQuery]) -> WebhookReply:
        """Register an endpoint; its secret is shown this once."""
        return self._book.register(asked.caller.product, asked.body)

    async def _test(self, asked: Asked[ProductCaller, NoBody, NoQuery]) -> WebhookTestReply:
        """Send webhook.test to an endpoint."""
        reply = self._book.test(asked.caller.product, asked.path["id"])
        self._wake()
        return reply

    async def _requests(self, asked: Asked[OrgCaller, NoBody, RecentQuery]) -> ApiRequestsReply:
        """Recent calls made with the caller's own credentials."""
        recent = self._log.recent(asked.caller.credential, asked.query.limit)
        return ApiRequestsReply(requests=list(recent))

    async def _deliveries(self, asked: Asked[OrgCaller, NoBody, RecentQuery]) -> DeliveriesReply:
        """Recent deliveries that concern the caller."""
        recent = self._book.recent(asked.caller, asked.query.limit)
        return DeliveriesReply(deliveries=list(recent))
