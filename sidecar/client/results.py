"""What the platform's answers hold, as frozen values. Times are Unix seconds, UTC.

Source: the platform's contract, Endpoints. How they are read from the wire is in `reading`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sidecar.domain.model import Quota
from sidecar.settings.secret import Secret


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

    org_id: str
    quotas: Mapping[str, Quota]


@dataclass(frozen=True, slots=True)
class QuotaBreakdown:
    """The same by product, then by resource: `used` is the product's, the limit the org's."""

    org_id: str
    products: Mapping[str, Mapping[str, Quota]]


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

    workspace_record_id: str
    status: str


@dataclass(frozen=True, slots=True)
class WorkspaceRecord:
    """A record as it is listed."""

    workspace_record_id: str
    org_id: str
    source_product: str
    record_type: str
    source_ref: str
    title: str
    subtitle: str | None
    summary_text: str | None
    app_href: str | None
    status: str
    meta: Mapping[str, object]
    created_at: float | None
    updated_at: float | None


@dataclass(frozen=True, slots=True)
class RecordPage:
    """A page of records, and how many there are in all."""

    records: tuple[WorkspaceRecord, ...]
    total: int
    limit: int
    offset: int


@dataclass(frozen=True, slots=True)
class FoundRecord:
    """A record that a search found; a higher score is a better match."""

    record: WorkspaceRecord
    score: float | None


@dataclass(frozen=True, slots=True)
class CatalogProduct:
    """A product that the org can see, and whether it has it."""

    product_id: str
    name: str
    entitled: bool


@dataclass(frozen=True, slots=True)
class Webhook:
    """A registered endpoint. `secret` signs its deliveries and is shown this once."""

    id: str
    url: str
    event_types: tuple[str, ...]
    secret: Secret


@dataclass(frozen=True, slots=True)
class WebhookTest:
    """The delivery that a test started."""

    delivery_id: str | None
    event: str


@dataclass(frozen=True, slots=True)
class WebhookDelivery:
    """A delivery to an endpoint; `last_status` is 0 where no answer came, None before the first."""

    id: str
    event: str
    url: str
    state: str
    attempts: int
    last_status: int | None
    last_error: str | None
    endpoint_id: str | None
    product_id: str | None
    org_id: str | None
    created_at: float | None


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A recent call with the caller's own credentials."""

    method: str
    path: str
    status: int
    duration_ms: float | None
    at: float | None


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """Whom a `bb_at` speaks for, by the platform's word."""

    user_id: str
    email: str
    full_name: str
    org_id: str
    role: str
    apps: tuple[str, ...]
    plan: str
    is_platform_admin: bool


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key of the key set (RFC 7517)."""

    kid: str
    kty: str
    alg: str | None
    use: str | None


@dataclass(frozen=True, slots=True)
class AuthHostState:
    """The auth host as a caller finds it: its keys, and its clock by the Date field."""

    keys: tuple[SigningKey, ...]
    date: float | None
