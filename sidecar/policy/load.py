"""From a policy file's bytes to a `Policy`, or to every problem that it has."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import assert_never

from pydantic import ValidationError

from sidecar.domain.cors import Cors, parse_origin_pattern
from sidecar.domain.credentials import BearerSource, CookieSource, IdentitySource
from sidecar.domain.model import Resource
from sidecar.policy.amount_schema import FactorSpec, HeaderAmountSpec, JsonAmountSpec
from sidecar.policy.amounts import (
    MAX_UNITS,
    AmountRule,
    ConstantAmount,
    HeaderAmount,
    JsonAmount,
    Scale,
)
from sidecar.policy.compiled import FailOpenBudget, Meter, Policy, Route
from sidecar.policy.doors import DoorKind, unkept_by
from sidecar.policy.json_pointer import JsonPointer
from sidecar.policy.problems import PolicyError, PolicyProblem
from sidecar.policy.risks import Deployment, warn_of_risks
from sidecar.policy.rules import check_rules, match_of
from sidecar.policy.schema import (
    BudgetSpec,
    ChargingSpec,
    CorsSpec,
    DefaultsSpec,
    IdentitySpec,
    MeterSpec,
    PolicySpec,
    RouteSpec,
)
from sidecar.policy.source import Document, read_document
from sidecar.policy.usage_rules import usage_rule
from sidecar.policy.usage_schema import UsageSpec
from sidecar.policy.wording import describe


def load_policy(data: bytes, *, file: str, environ: Mapping[str, str] | None) -> Policy:
    """Return the policy of a file's bytes.

    `file` is its name in messages; `environ` has the secrets that the file names. With None, none
    has to be there, and the policy verifies no caller. Raises PolicyError with every problem. Pure,
    and so fit to run in a thread.
    """
    document, spec = _validate(data, file, environ)
    if document.problems or spec is None:
        raise PolicyError(document.problems)
    return _compile(spec, digest=hashlib.sha256(data).hexdigest(), environ=environ)


def find_problems(
    data: bytes,
    *,
    file: str,
    environ: Mapping[str, str] | None,
    deployment: Deployment | None = None,
    door: DoorKind = DoorKind.PROXY,
) -> list[PolicyProblem]:
    """Return every problem of a file's bytes, warnings included, in the file's order.

    With `environ` None the secrets that the file names are not looked for. `deployment` is how the
    policy will run, as far as that is known: some warnings depend on it. `door` is what will ask.
    """
    document, spec = _validate(data, file, environ)
    if spec is not None and not document.problems:
        policy = _compile(spec, digest="", environ=None)
        warn_of_risks(document, policy, deployment)
        for part in unkept_by(door, policy):
            document.problem(part.where, str(part), severity=part.severity)
    return sorted(document.problems)


def _validate(
    data: bytes, file: str, environ: Mapping[str, str] | None
) -> tuple[Document, PolicySpec | None]:
    document = read_document(data, file)
    if document.value is None:
        return document, None
    spec = _shape(document)
    check_rules(document, environ)
    return document, spec


def _shape(document: Document) -> PolicySpec | None:
    empty = {(problem.line, problem.column) for problem in document.problems}
    try:
        return PolicySpec.model_validate(document.value)
    except ValidationError as invalid:
        for error in invalid.errors(include_url=False):
            described = describe(error, document.resolve(error["loc"]))
            if described is not None:
                message, key = described
                document.problem(error["loc"], message, key=key, unless=empty)
        return None


def _compile(spec: PolicySpec, *, digest: str, environ: Mapping[str, str] | None) -> Policy:
    return Policy(
        product=spec.product,
        version=spec.version,
        hash=digest,
        identity=tuple(_source(entry, environ) for entry in spec.identity),
        routes=tuple(_route(route, spec.defaults) for route in spec.routes),
        matches=tuple(
            match_of(route.match.path, route.match.methods, route.match.headers)
            for route in spec.routes
        ),
        unmatched=spec.unmatched,
        errors=spec.defaults.errors,
        case_sensitive=spec.case_sensitive,
        notices=() if spec.notices is None else tuple(spec.notices.at),
        cors=None if spec.cors is None else _cors(spec.cors),
    )


def _cors(spec: CorsSpec) -> Cors:
    return Cors(tuple(map(parse_origin_pattern, spec.origins)), spec.credentials)


def _source(entry: IdentitySpec, environ: Mapping[str, str] | None) -> IdentitySource:
    if entry.cookie is None:
        return BearerSource()
    if entry.secret_env is None:
        return CookieSource(entry.cookie)
    secret = "not looked for" if environ is None else environ[entry.secret_env]
    return CookieSource(entry.cookie, secret.encode("utf-8", "surrogateescape"))  # as it is


def _route(route: RouteSpec, defaults: DefaultsSpec) -> Route:
    if route.meter is None:
        return Route(route.name, None, route.action, route.errors or defaults.errors)
    charging = _inherit(route.meter, defaults)
    meter = _meter(charging, route.meter.usage)
    return Route(route.name, meter, None, charging.errors)


def _inherit(meter: MeterSpec, defaults: DefaultsSpec) -> ChargingSpec:
    """Return the meter with what it leaves out taken from the defaults, the budget's parts too."""
    own = {name: getattr(meter, name) for name in meter.model_fields_set - {"usage"}}
    if isinstance(budget := own.get("fail_open_budget"), BudgetSpec):
        parts = {name: getattr(budget, name) for name in budget.model_fields_set}
        own["fail_open_budget"] = defaults.fail_open_budget.model_copy(update=parts)
    return defaults.model_copy(update=own)


def _meter(charging: ChargingSpec, usage: UsageSpec | None) -> Meter:
    budget = charging.fail_open_budget
    return Meter(
        resource=charging.resource.value,
        amount=_amount(charging.amount, charging.resource),
        accuracy=charging.accuracy,
        on_over_quota=charging.on_over_quota,
        on_platform_error=charging.on_platform_error,
        fail_open_budget=FailOpenBudget(budget.units, budget.seconds),
        platform_timeout=charging.platform_timeout,
        refund=charging.refund,
        replay=charging.replay,
        enforcement=charging.enforcement,
        deny_status=charging.deny_status,
        body_limit=charging.body_limit,
        usage=None if usage is None else usage_rule(usage),
    )


def _amount(spec: int | JsonAmountSpec | HeaderAmountSpec, resource: Resource) -> AmountRule:
    match spec:
        case int():
            return ConstantAmount(spec)
        case JsonAmountSpec():
            times = None if spec.times is None else _json_amount(spec.times)
            return _json_amount(spec, times)
        case HeaderAmountSpec():
            # Only an empty upload is honestly free: any other 0 is a client's choice not to pay.
            empty_upload = resource is Resource.STORAGE_BYTES and spec.header == "content-length"
            return HeaderAmount(
                spec.header.encode("ascii"), _scale(spec, minimum=0 if empty_upload else 1)
            )
        case _:
            assert_never(spec)


def _json_amount(spec: FactorSpec, times: JsonAmount | None = None) -> JsonAmount:
    pointer, scale = JsonPointer.parse(spec.json_), _scale(spec, minimum=1)
    return JsonAmount(pointer, scale, spec.count, times)


def _scale(spec: FactorSpec | HeaderAmountSpec, *, minimum: int) -> Scale:
    return Scale(
        weights=None if spec.map is None else dict(spec.map),
        default=spec.default,
        maximum=MAX_UNITS if spec.max is None else spec.max,
        minimum=minimum,
    )
