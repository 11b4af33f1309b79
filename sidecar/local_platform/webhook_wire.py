"""What goes over the wire for webhooks, the debugging lists and the schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, JsonValue, RootModel, StringConstraints

from sidecar.local_platform.wire import URL, ReplyBody, RequestBody, Time

EventType = Literal[
    "*",
    "org.*",
    "org.created",
    "org.updated",
    "member.*",
    "member.added",
    "member.updated",
    "member.removed",
    "entitlement.*",
    "entitlement.granted",
    "entitlement.updated",
    "entitlement.revoked",
    "sandbox.*",
    "webhook.test",
]
"""What can be subscribed to; the families by `.*` and the names beside the published are ours."""


class WebhookBody(RequestBody):
    """`POST /v1/webhooks`: an event that does not exist is refused [ours]."""

    url: Annotated[str, StringConstraints(max_length=2000, pattern=URL)]
    event_types: Annotated[list[EventType], Field(min_length=1, max_length=100)]


class WebhookReply(ReplyBody):
    """A registered endpoint, with the secret that is shown this once."""

    id: str
    url: str
    event_types: Sequence[str]
    secret: str
    created_at: Time


class WebhookTestReply(ReplyBody):
    """The delivery that a test started; `GET /v1/dev/webhook-deliveries` shows its result."""

    delivery_id: str
    event: str


class RecordedRequest(ReplyBody):
    """A call made with the caller's own credentials; without the query, which may be private."""

    method: str
    path: str
    status: int
    duration_ms: float
    at: Time


class ApiRequestsReply(ReplyBody):
    """Recent calls, newest first [shape: ours]."""

    requests: list[RecordedRequest]


class Delivery(ReplyBody):
    """A webhook delivery; `last_status` 0 when no answer came."""

    id: str
    endpoint_id: str
    product_id: str
    org_id: str | None
    event: str
    url: str
    state: Literal["pending", "delivered", "failed", "dropped"]
    attempts: int
    last_status: int | None
    last_error: str | None
    created_at: Time
    updated_at: Time


class DeliveriesReply(ReplyBody):
    """Recent deliveries, newest first [shape: ours]."""

    deliveries: list[Delivery]


class SchemaReply(RootModel[dict[str, JsonValue]]):
    """`GET /openapi.json`."""
