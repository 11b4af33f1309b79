"""The policy file's typed model, and the JSON Schema that editors check it with.

`python -m sidecar.policy.schema > policies/schema.json` writes the schema. Shapes, types and
ranges are here; what concerns more than one field is in `rules`.
"""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from sidecar.domain.choices import (
    Accuracy,
    Action,
    Enforcement,
    ErrorFormat,
    OnOverQuota,
    OnPlatformError,
    OnReplay,
    Refund,
)
from sidecar.domain.model import Resource
from sidecar.policy.amount_schema import AmountSpec
from sidecar.policy.fields import (
    Choice,
    CookieName,
    DenyStatus,
    Duration,
    EnvironmentName,
    HeaderName,
    HeaderValue,
    Levels,
    Method,
    Origins,
    PathPattern,
    PolicySlug,
    RouteName,
    Spec,
    Units,
)
from sidecar.policy.usage_schema import UsageSpec


def _exactly_one(*keys: str) -> dict[str, Any]:
    return {"oneOf": [{"required": [key]} for key in keys]}


class IdentitySpec(Spec):
    """Where a caller's token may be: a cookie, or the Authorization header."""

    model_config = ConfigDict(json_schema_extra=_exactly_one("cookie", "bearer"))

    cookie: CookieName | SkipJsonSchema[None] = Field(
        default=None, description="Name of the cookie that holds the token."
    )
    bearer: Literal[True] | SkipJsonSchema[None] = Field(
        default=None, description="Take the token from `Authorization: Bearer`."
    )
    secret_env: EnvironmentName | SkipJsonSchema[None] = Field(
        default=None,
        description="Environment variable with the secret of the product's own session cookie "
        "(HS256). Without it the token is the platform's (RS256, its key set). Cookies only.",
    )


class BudgetSpec(Spec):
    """What may be admitted while the platform gives no valid answer."""

    units: Units = Field(default=1000, description="Units per org and resource.")
    seconds: Annotated[Duration, Field(ge=1, le=604800)] = Field(
        default=900.0, description="How long, from the first call that was admitted."
    )


class ChargingSpec(Spec):
    """How calls are metered."""

    resource: Choice[Resource] = Field(
        default=Resource.AI_CALLS, description="What is counted at the platform."
    )
    amount: AmountSpec = Field(
        default=1, description="What a call costs: a constant, or read from the call."
    )
    accuracy: Choice[Accuracy] = Field(
        default=Accuracy.EXACT,
        description="`exact`: the platform is asked about every call before the product runs. "
        "`lease`: units are taken ahead of the calls, never more than the limit.",
    )
    on_over_quota: Choice[OnOverQuota] = Field(
        default=OnOverQuota.DENY,
        description="`deny`: refused. `allow`: admitted, counted here and marked.",
    )
    on_platform_error: Choice[OnPlatformError] = Field(
        default=OnPlatformError.FAIL_OPEN,
        description="When the platform gives no answer to trust: `fail_open` lets through within "
        "`fail_open_budget`, `fail_closed` refuses (503), `last_known` decides by its last answer.",
    )
    fail_open_budget: BudgetSpec = Field(
        default=BudgetSpec(), description="What `fail_open` may admit; then calls are refused."
    )
    platform_timeout: Annotated[Duration, Field(ge=0.001, le=60)] = Field(
        default=0.25, description="How long a call may wait for the platform, a retry included."
    )
    refund: Choice[Refund] = Field(
        default=Refund.UNREACHED,
        description="Which attempts give their units back as a credit: `never`, `unreached` (no "
        "byte reached the product), `failed` (also its 5xx).",
    )
    replay: Choice[OnReplay] = Field(
        default=OnReplay.CHARGE,
        description="A request ID seen again after it succeeded: `charge` it again, or `reject` "
        "it (409).",
    )
    enforcement: Choice[Enforcement] = Field(
        default=Enforcement.ENFORCE,
        description="`shadow`: decide and count, mark what would be refused, let it through.",
    )
    errors: Choice[ErrorFormat] = Field(
        default=ErrorFormat.PROBLEM,
        description="Body of a refusal: `problem` (RFC 9457), or the error object of the OpenAI "
        "or Anthropic API, so that their SDKs raise their own errors.",
    )
    deny_status: DenyStatus = Field(default=429, description="Status of a refusal over quota.")
    body_limit: Annotated[int, Field(ge=1, le=64 << 20)] = Field(
        default=1 << 20,
        description="Bytes of a body that is read for its amount, once decoded; a longer one is "
        "refused (413).",
    )


def _inherited(schema: dict[str, Any]) -> None:
    # A key that is left out of a meter has the value of `defaults`, not one of its own.
    for property_ in schema["properties"].values():
        property_.pop("default", None)


class DefaultsSpec(ChargingSpec):
    """Defaults for every meter."""


class MeterSpec(ChargingSpec):
    """How this route is metered; what is left out is as in `defaults`."""

    model_config = ConfigDict(json_schema_extra=_inherited)

    usage: UsageSpec | SkipJsonSchema[None] = Field(
        default=None,
        description="Settle each call by what its answer says that it has used; `amount` is then "
        "a deposit. Left out: a call costs its amount.",
    )


class MatchSpec(Spec):
    """Which calls fall to a route: all that is given must hold."""

    path: PathPattern = Field(
        description="Path pattern: `*` is one segment, `**` any number, none included."
    )
    methods: Annotated[list[Method], Field(min_length=1)] | SkipJsonSchema[None] = Field(
        default=None, description="Methods; all when left out. GET means HEAD as well."
    )
    headers: (
        Annotated[dict[HeaderName, HeaderValue], Field(min_length=1)] | SkipJsonSchema[None]
    ) = Field(
        default=None,
        description="Headers of which some line must have exactly this value.",
    )


class RouteSpec(Spec):
    """One entry of the policy: which calls, and what is done with them."""

    model_config = ConfigDict(json_schema_extra=_exactly_one("meter", "action"))

    name: RouteName = Field(description="Name in metrics, logs and refusals; used once.")
    match: MatchSpec = Field(description="Which calls fall to the route.")
    meter: MeterSpec | SkipJsonSchema[None] = Field(
        default=None, description="Meter these calls. `{}` takes every default."
    )
    action: Choice[Action] | SkipJsonSchema[None] = Field(
        default=None, description="Do not meter: `allow` (free) or `deny` (403)."
    )
    errors: Choice[ErrorFormat] | SkipJsonSchema[None] = Field(
        default=None, description="Body of a refusal of a route with an `action`."
    )


class NoticesSpec(Spec):
    """When an org is notified that its quota is running out."""

    at: Levels = Field(
        default=[80, 100],
        description="Percent of a quota at which its record is published, in ascending order.",
    )


class CorsSpec(Spec):
    """Which web pages of other origins may read refusals."""

    origins: Origins = Field(
        description="Origins of the pages, as scheme://host or scheme://host:port. A first label "
        "`*` is one or more labels; `*` alone is every origin.",
    )
    credentials: bool = Field(
        default=False,
        description="Pages may send cookies (`credentials: include`); not with the origin `*`.",
    )


class PolicySpec(Spec):
    """What is metered, and how: the policy of one product."""

    model_config = ConfigDict(title="bizbasics-sidecar policy")

    version: Literal[1] = Field(description="Version of this format: 1.")
    product: PolicySlug = Field(description="The product's slug on the platform.")
    case_sensitive: bool = Field(
        default=False,
        description="Compare paths with regard to case. Only for a product whose routes all do: "
        "otherwise another spelling of a path is a way round its meter.",
    )
    identity: Annotated[list[IdentitySpec], Field(min_length=1)] = Field(
        default=[IdentitySpec(cookie="bb_at"), IdentitySpec(bearer=True)],
        description="Where the caller's token may be, in order: the first that is present decides.",
    )
    defaults: DefaultsSpec = Field(default=DefaultsSpec(), description="Defaults for every meter.")
    routes: Annotated[list[RouteSpec], Field(min_length=1)] = Field(
        description="The routes, in order: the first that matches decides."
    )
    unmatched: Choice[Action] = Field(
        default=Action.DENY, description="What happens to a call that no route matches."
    )
    notices: NoticesSpec | SkipJsonSchema[None] = Field(
        default=None,
        description="Publish a workspace record for each org and resource whose quota runs out. "
        "`{}` takes every default; needs a bbk_ key (see the settings). Left out: none.",
    )
    cors: CorsSpec | SkipJsonSchema[None] = Field(
        default=None,
        description="Let pages of these origins read refusals. Left out: the fetch of a page of "
        "another origin fails without a status.",
    )


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a policy file."""
    schema = PolicySpec.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def schema_text() -> str:
    """Return the schema as `policies/schema.json` has it."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
