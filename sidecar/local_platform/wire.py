"""What goes over the wire, typed: these models validate the requests and make the OpenAPI schema.

Bodies are strict: `true`, `1.0` and `"1"` are no integers. Fields the contract does not name are
ignored in API bodies [ours], and refused in control bodies, where they are a mistake.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, RootModel, StringConstraints

from sidecar.local_platform.choices import LARGEST_AMOUNT
from sidecar.model import Resource

Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Slug = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9_-]*$")
]
OrgId = Annotated[
    str, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$")
]
Limit = Annotated[int, Field(ge=-1, le=LARGEST_AMOUNT, description="-1: unlimited")]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class Body(BaseModel):
    """A request body of the API."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class ControlBody(Body):
    """A request body of `/_control`: a field it does not know is an error."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Query(BaseModel):
    """A query string; its values arrive as text."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Reply(BaseModel):
    """The body of an answer."""

    model_config = ConfigDict(frozen=True)


class NoBody(Body):
    """A request without a body."""


class NoQuery(Query):
    """A request without a query."""


# Errors


class FieldProblem(Reply):
    """One field that does not fit the schema."""

    loc: list[str | int]
    msg: str
    type: str


class ErrorReply(Reply):
    """Every error body: text, or for 422 the fields [ours]."""

    detail: str | list[FieldProblem]


# Quotas


class ConsumeBody(Body):
    """`POST /v1/quota/consume` (contract, Quotas)."""

    org_id: Name
    resource: Resource
    amount: Annotated[int, Field(ge=1, le=LARGEST_AMOUNT)] = 1
    product_id: Name | None = None
    idempotency_key: Name | None = None


class QuotaReply(Reply):
    """One resource of an org: -1 in `limit` and `remaining` means unlimited."""

    used: int
    limit: int
    remaining: int
    period: str
    reset_at: Time


class ConsumeReply(Reply):
    """The answer of consume: always all of these fields (contract, Quotas)."""

    allowed: bool
    used: int
    limit: int
    remaining: int
    resource: Resource
    period: str
    reset_at: Time


class StatusReply(Reply):
    """The state of every resource that the org's plan names."""

    org_id: str
    quotas: dict[str, QuotaReply]


class BreakdownReply(Reply):
    """The same split by product: `used` is the product's, the limit is the org's [ours]."""

    org_id: str
    products: dict[str, dict[str, QuotaReply]]


# Auth host


class PublicKey(Reply):
    """One RSA key of the key set (RFC 7517)."""

    kty: Literal["RSA"] = "RSA"
    use: Literal["sig"] = "sig"
    alg: Literal["RS256"] = "RS256"
    kid: str
    n: str
    e: str


class KeySetReply(Reply):
    """`GET /.well-known/jwks.json`."""

    keys: list[PublicKey]


class VerifyTokenQuery(Query):
    """`GET /api/v1/internal/verify-app-token`."""

    token: Annotated[str, Field(min_length=1, max_length=16_384)]


class VerifyTokenReply(Reply):
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


class HealthReply(Reply):
    """`GET /health` and `GET /ready`."""

    status: Literal["ok"] = "ok"


# Control: what only a local platform has


class Member(ControlBody):
    """A person of an org."""

    user_id: Name
    email: Name | None = None
    full_name: Name | None = None
    role: Name = "member"


class ApiKey(ControlBody):
    """A `bbk_` key of an org; with `product`, bound to that product."""

    key: Annotated[str, StringConstraints(pattern=r"^bbk_[\x21-\x7e]{1,250}$")]
    scopes: list[Literal["read", "write"]] = ["read", "write"]
    product: Slug | None = None


class OrgBody(ControlBody):
    """`PUT /_control/orgs/{id}`: what is left out stays as it is."""

    name: Name | None = None
    plan: Name | None = None
    apps: list[Slug] | None = None
    quotas: dict[Resource, Limit] | None = None
    members: list[Member] | None = None
    keys: list[ApiKey] | None = None


class OrgReply(Reply):
    """An org as it is now."""

    org_id: str
    name: str
    plan: str
    apps: list[str]
    quotas: dict[str, QuotaReply]


class TokenBody(ControlBody):
    """`POST /_control/token`: `ttl` in seconds; a claim set to null is left out of the token."""

    org_id: Name
    user_id: Name | None = None
    role: Name | None = None
    ttl: Annotated[int, Field(ge=1, le=10 * 365 * 86_400)] | None = None
    claims: Mapping[str, JsonValue] | None = None


class TokenReply(Reply):
    """A `bb_at`."""

    token: str


class RotateBody(ControlBody):
    """`POST /_control/rotate-keys`: `withdraw` takes the old keys off the key set at once."""

    withdraw: bool = False


class RotateReply(Reply):
    """The key that signs now, and all that are published."""

    kid: str
    published: list[str]


class ConsumesQuery(Query):
    """`GET /_control/consumes`: all orgs where none is named."""

    org_id: Name | None = None


class CountedConsume(Reply):
    """One consume that was counted."""

    key: str | None
    org_id: str
    product: str
    resource: str
    amount: int
    at: Time


class ConsumesReply(RootModel[list[CountedConsume]]):
    """What was counted, oldest first."""
