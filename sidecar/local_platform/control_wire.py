"""What goes over the wire under `/_control`, and in a seed: a field not known is a mistake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, JsonValue, RootModel, StringConstraints

from sidecar.local_platform.wire import (
    API_KEY,
    Limit,
    Name,
    Query,
    QuotaReply,
    ReplyBody,
    RequestBody,
    ResourceName,
    SlugText,
    Time,
)

Scope = Literal["read", "write"]
Email = Annotated[str, StringConstraints(min_length=1, max_length=300)]
"""Longer than a `Name`: it may be made of a user's ID and a domain."""
BOTH_SCOPES: Final[tuple[Scope, ...]] = ("read", "write")


class ControlBody(RequestBody):
    """A request body of `/_control`: a field it does not know is an error."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Member(ControlBody):
    """A person of an org."""

    user_id: Name
    email: Email | None = None
    full_name: Name | None = None
    role: Name = "member"


class ApiKey(ControlBody):
    """A `bbk_` key of an org; with `product`, bound to that product."""

    key: Annotated[str, StringConstraints(pattern=API_KEY)]
    scopes: list[Scope] = Field(default_factory=lambda: list(BOTH_SCOPES))
    product: SlugText | None = None


class OrgBody(ControlBody):
    """`PUT /_control/orgs/{id}`: what is left out stays as it is, each resource by itself.

    A resource that is set to null has no limit of its own any more.
    """

    name: Name | None = None
    plan: Name | None = None
    apps: list[SlugText] | None = None
    quotas: Mapping[ResourceName, Limit | None] | None = None
    members: list[Member] | None = None
    keys: list[ApiKey] | None = None


class OrgReply(ReplyBody):
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


class TokenReply(ReplyBody):
    """A `bb_at`."""

    token: str


class RotateBody(ControlBody):
    """`POST /_control/rotate-keys`: `withdraw` takes the old keys off the key set at once."""

    withdraw: bool = False


class RotateReply(ReplyBody):
    """The key that signs now, and all that are published."""

    kid: str
    published: list[str]


class ConsumesQuery(Query):
    """`GET /_control/consumes`: all orgs where none is named."""

    org_id: Name | None = None


class CountedConsume(ReplyBody):
    """One consume that was counted."""

    key: str | None
    org_id: str
    product: str
    resource: str
    amount: int
    at: Time


class ConsumesReply(RootModel[list[CountedConsume]]):
    """What was counted, oldest first."""
