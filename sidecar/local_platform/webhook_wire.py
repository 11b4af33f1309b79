"""What goes over the wire for webhooks, the debugging lists and the schema."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, JsonValue, RootModel, StringConstraints

from sidecar.local_platform.wire import Name, ReplyBody, RequestBody, Time

_URL: Final = (
    r"^https?://([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[::1\])"
    r"(:[0-9]{1,5})?([/?][!-~]*)?$"
)
"""A host, perhaps a port, visible ASCII after it; no userinfo, which would be a secret on show.

Of IPv6 addresses only this machine's own: a pattern cannot tell the others from nonsense.
"""


class WebhookBody(RequestBody):
    """`POST /v1/webhooks`: `*` and `family.*` subscribe to more than one event [ours]."""

    url: Annotated[str, StringConstraints(max_length=2000, pattern=_URL)]
    event_types: Annotated[list[Name], Field(min_length=1, max_length=100)]


class WebhookReply(ReplyBody):
    """A registered endpoint, with the secret that is shown this once."""

    id: str
    url: str
    event_types: list[str]
    secret: str
    created_at: Time


class WebhookTestReply(ReplyBody):
    """The delivery that a test started; `GET /v1/dev/webhook-deliveries` tells how it went."""

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
