"""Webhooks and the debugging lists (contract, Webhooks; Debugging, schema)."""

from __future__ import annotations

from collections.abc import Callable
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


def webhook_endpoints(
    book: WebhookBook,
    log: RequestLog,
    product: AccessKind[ProductCaller],
    reader: AccessKind[OrgCaller],
    wake: Callable[[], None],
) -> list[AnyEndpoint]:
    """Return the endpoints of products, and what an org may see of them.

    `wake` is called when a delivery is owed.
    """

    async def register(asked: Asked[ProductCaller, WebhookBody, NoQuery]) -> WebhookReply:
        """Register an endpoint; its secret is shown this once."""
        return book.register(asked.caller.product, asked.body)

    async def test(asked: Asked[ProductCaller, NoBody, NoQuery]) -> WebhookTestReply:
        """Send webhook.test to an endpoint."""
        reply = book.test(asked.caller.product, asked.path["id"])
        wake()
        return reply

    async def requests(asked: Asked[OrgCaller, NoBody, RecentQuery]) -> ApiRequestsReply:
        """Recent calls made with the caller's own credentials."""
        recent = log.recent(asked.caller.credential, asked.query.limit)
        return ApiRequestsReply(requests=list(recent))

    async def deliveries(asked: Asked[OrgCaller, NoBody, RecentQuery]) -> DeliveriesReply:
        """Recent deliveries that concern the caller."""
        recent = book.recent(asked.caller, asked.query.limit)
        return DeliveriesReply(deliveries=list(recent))

    return [
        Endpoint("POST /v1/webhooks", register, product, status=HTTPStatus.CREATED),
        Endpoint(
            "POST /v1/webhooks/{id}/test",
            test,
            product,
            status=HTTPStatus.ACCEPTED,
            rejects=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
        ),
        Endpoint("GET /v1/dev/api-requests", requests, reader),
        Endpoint("GET /v1/dev/webhook-deliveries", deliveries, reader),
    ]
