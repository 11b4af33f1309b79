"""What goes over the wire, typed: these models validate the requests and make the OpenAPI schema.

Bodies are strict: `true`, `1.0` and `"1"` are no integers. Fields the contract does not name are
ignored [ours].
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from sidecar.domain.model import Resource
from sidecar.local_platform.choices import LARGEST_AMOUNT
from sidecar.local_platform.periods import utc_text

Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]
SlugText = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9_-]*$")
]
OrgId = Annotated[
    str, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$")
]
Limit = Annotated[int, Field(ge=-1, le=LARGEST_AMOUNT, description="-1: unlimited")]
ResourceName = Annotated[Resource, Field(strict=False)]
"""A resource, also where code gives its name as plain text."""
Time = Annotated[
    str,
    Field(json_schema_extra={"format": "date-time"}),
    BeforeValidator(lambda at: utc_text(at) if isinstance(at, float) else at),
]
"""A time in ISO 8601; also made from Unix seconds, as they are in the store."""


class RequestBody(BaseModel):
    """A request body of the API."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class Query(BaseModel):
    """A query string; its values arrive as text."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ReplyBody(BaseModel):
    """The body of an answer."""

    model_config = ConfigDict(frozen=True)


class NoBody(RequestBody):
    """A request without a body."""


class NoQuery(Query):
    """A request without a query."""


# Errors


class FieldProblem(ReplyBody):
    """One field that does not fit the schema."""

    loc: list[str | int]
    msg: str
    type: str


class ErrorReply(ReplyBody):
    """Every error body: text, or for 422 the fields [ours]."""

    detail: str | list[FieldProblem]


# Quotas


class ConsumeBody(RequestBody):
    """`POST /v1/quota/consume` (contract, Quotas)."""

    org_id: Name
    resource: ResourceName
    amount: Annotated[int, Field(ge=1, le=LARGEST_AMOUNT)] = 1
    product_id: Name | None = None
    idempotency_key: Name | None = None


class QuotaReply(ReplyBody):
    """One resource of an org: -1 in `limit` and `remaining` means unlimited."""

    used: int
    limit: int
    remaining: int
    period: str
    reset_at: Time


class ConsumeReply(ReplyBody):
    """The answer of consume: always all of these fields (contract, Quotas)."""

    allowed: bool
    used: int
    limit: int
    remaining: int
    resource: Resource
    period: str
    reset_at: Time


class StatusReply(ReplyBody):
    """The state of every resource that the org's plan names."""

    org_id: str
    quotas: dict[str, QuotaReply]


class BreakdownReply(ReplyBody):
    """The same split by product: `used` is the product's, the limit is the org's [ours]."""

    org_id: str
    products: dict[str, dict[str, QuotaReply]]


# Auth host


class PublicKey(ReplyBody):
    """One RSA key of the key set (RFC 7517)."""

    kty: Literal["RSA"] = "RSA"
    use: Literal["sig"] = "sig"
    alg: Literal["RS256"] = "RS256"
    kid: str
    n: str
    e: str


class KeySetReply(ReplyBody):
    """`GET /.well-known/jwks.json`."""

    keys: list[PublicKey]


class VerifyTokenQuery(Query):
    """`GET /api/v1/internal/verify-app-token`."""

    token: Annotated[str, Field(min_length=1, max_length=8192)]


class VerifyTokenReply(ReplyBody):
    """Who a token speaks for."""

    user_id: str
    email: str
    full_name: str
    org_id: str
    role: str
    apps: list[str]
    plan: str
    is_platform_admin: bool


# Health


class HealthReply(ReplyBody):
    """`GET /health` and `GET /ready`."""

    status: Literal["ok"] = "ok"
