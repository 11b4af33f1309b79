"""What the platform's answers hold, as frozen values. Times are Unix seconds, UTC.

Source: the platform's contract, Endpoints. The annotations say how `reading` reads each field: what
the contract publishes must be there, what is our choice may be missing or of another type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from sidecar.client.members import (
    AnyText,
    AnyTexts,
    Flag,
    GivenText,
    HiddenText,
    Instant,
    MaybeNumber,
    MaybeText,
    MaybeWhole,
    ProductQuotas,
    QuotaMap,
    Texts,
    Whole,
    named,
    or_else,
)
from sidecar.domain.quota import Quota


@dataclass(frozen=True, slots=True)
class Consumption:
    """The answer of consume. Not `allowed`: nothing was counted.

    `allowed` with an unlimited quota may also be the platform's store being down: the words are
    the same (contract, Quotas). `key` is the idempotency key that was sent.
    """

    allowed: bool
    quota: Quota
    key: str


@dataclass(frozen=True, slots=True)
class QuotaStatus:
    """The quotas of the key's own org, by resource."""

    org_id: GivenText
    quotas: QuotaMap


@dataclass(frozen=True, slots=True)
class QuotaBreakdown:
    """The same by product, then by resource: `used` is the product's, the limit the org's."""

    org_id: GivenText
    products: ProductQuotas


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A workspace record to publish: one for each org, product, type and source_ref."""

    org_id: str
    source_product: str
    record_type: str
    source_ref: str
    title: str
    subtitle: str | None = None
    summary_text: str | None = None
    app_href: str | None = None
    status: str | None = None
    meta: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PublishedRecord:
    """Which record it became: the same one for the same source."""

    workspace_record_id: GivenText
    status: GivenText


@dataclass(frozen=True, slots=True)
class WorkspaceRecord:
    """A record as it is listed."""

    workspace_record_id: Annotated[str, named("workspace_record_id", "id")]
    org_id: GivenText
    source_product: GivenText
    record_type: GivenText
    source_ref: GivenText
    title: GivenText
    subtitle: MaybeText
    summary_text: MaybeText
    app_href: MaybeText
    status: AnyText
    meta: Annotated[Mapping[str, object], or_else({}, dict)]
    created_at: Instant
    updated_at: Instant


@dataclass(frozen=True, slots=True)
class RecordPage:
    """A page of records, and how many there are in all."""

    records: tuple[WorkspaceRecord, ...]
    total: Whole
    limit: Whole
    offset: Whole


@dataclass(frozen=True, slots=True)
class FoundRecord:
    """A record that a search found; a higher score is a better match."""

    record: WorkspaceRecord
    score: MaybeNumber


@dataclass(frozen=True, slots=True)
class CatalogProduct:
    """A product that the org can see, and whether it has it."""

    product_id: Annotated[str, named("product_id", "slug", "id")]
    name: Annotated[str, named("name", "product_id", "slug", "id")]
    entitled: Flag


@dataclass(frozen=True, slots=True)
class Webhook:
    """A registered endpoint. `secret` signs its deliveries and is shown this once."""

    id: Annotated[str, named("id", "endpoint_id", "webhook_id")]
    url: AnyText
    event_types: AnyTexts
    secret: HiddenText


@dataclass(frozen=True, slots=True)
class WebhookTest:
    """The delivery that a test started."""

    delivery_id: MaybeText
    event: Annotated[str, or_else("webhook.test", str)]


@dataclass(frozen=True, slots=True)
class WebhookDelivery:
    """A delivery to an endpoint; `last_status` is 0 where no answer came, None before the first."""

    id: Annotated[str, named("id", "delivery_id")]
    event: GivenText
    url: AnyText
    state: AnyText
    attempts: Annotated[int, or_else(0, int)]
    last_status: MaybeWhole
    last_error: MaybeText
    endpoint_id: MaybeText
    product_id: MaybeText
    org_id: MaybeText
    created_at: Instant


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A recent call with the caller's own credentials."""

    method: GivenText
    path: GivenText
    status: Whole
    duration_ms: MaybeNumber
    at: Instant


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """Whom a `bb_at` speaks for, by the platform's word."""

    user_id: GivenText
    email: GivenText
    full_name: GivenText
    org_id: GivenText
    role: GivenText
    apps: Texts
    plan: GivenText
    is_platform_admin: Annotated[bool, or_else(False, bool)]


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key of the key set (RFC 7517)."""

    kid: GivenText
    kty: GivenText
    alg: MaybeText
    use: MaybeText


@dataclass(frozen=True, slots=True)
class AuthHostState:
    """The auth host as a caller finds it: its keys, and its clock by the Date field."""

    keys: tuple[SigningKey, ...]
    date: float | None
