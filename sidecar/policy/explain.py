"""Why a call would go where it goes: what `bb-sidecar explain` says. Pure; nothing is asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields

from sidecar.domain.model import Headers, Reason, Resource
from sidecar.policy.amounts import JsonAmount, UnreadableAmount
from sidecar.policy.compiled import Meter, Policy, Route, UnsafePath
from sidecar.policy.consequences import Consequence, of_meter, of_unmetered
from sidecar.policy.overrides import asked_methods
from sidecar.policy.paths import Segments, normalise
from sidecar.policy.routing import Match
from sidecar.policy.view import amount_as_value


@dataclass(frozen=True, slots=True)
class KeyParts:
    """What a charge's key is a digest of (architecture, Keys), the attempt and the nonce apart."""

    product: str
    org_id: str
    user_id: str
    route: str
    method: str
    path: str
    query: str
    resource: str
    amount: int
    request_id: str


@dataclass(frozen=True, slots=True)
class Step:
    """One route that was tried, and why it matches or does not."""

    route: str
    matches: bool
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that the policy alone knows of a call.

    `route` is None when the call is refused for its path or method, which `refused` then tells.
    `detours` are the other readings of path and method that lead to other routes, with their names.
    """

    method: str
    path: str
    normal: str | UnsafePath
    steps: tuple[Step, ...]
    detours: tuple[tuple[str, str], ...]
    route: Route | None
    refused: str
    amount: int | UnreadableAmount | None
    consequences: tuple[Consequence, ...]
    key_parts: KeyParts | None
    key: str | None


def explain(
    policy: Policy,
    method: str,
    target: str,
    headers: Headers,
    body: bytes,
    *,
    product: str | None = None,
    org_id: str = "<org>",
    user_id: str = "<user>",
    request_id: str = "<request id>",
    derive_key: Callable[[KeyParts], str] | None = None,
) -> Explanation:
    """Follow a call through the policy; `target` may have a query: it is part of the key.

    `product` overrides the policy's. `derive_key` makes the key of the call's first attempt; the
    key is left out without it.
    """
    path, _, query = target.partition("?")
    found = policy.route_for(method, path, headers, query=query)
    route = None if isinstance(found, UnsafePath) else found
    refused = found.detail if isinstance(found, UnsafePath) else ""
    meter = None if route is None else route.meter
    amount, consequences = _price(meter, headers, body)
    parts = None
    if route is not None and meter is not None and isinstance(amount, int) and amount:
        parts = KeyParts(
            product=product or policy.product,
            org_id=org_id,
            user_id=user_id,
            route=route.name,
            method=method,
            path=path,
            query=query,
            resource=meter.resource,
            amount=amount,
            request_id=request_id,
        )
    if meter is None:
        consequences = (of_unmetered(route, unmatched=route is policy.unmatched),)
    return Explanation(
        method=method,
        path=path,
        normal=normalise(path),
        steps=_steps(policy, method, path, headers),
        detours=(
            *_detours(policy, method, path, headers),
            *_overrides(policy, method, path, headers, query),
        ),
        route=route,
        refused=refused,
        amount=amount,
        consequences=consequences,
        key_parts=parts,
        key=derive_key(parts) if derive_key is not None and parts is not None else None,
    )


def _steps(policy: Policy, method: str, path: str, headers: Headers) -> tuple[Step, ...]:
    read = policy.router.read(path)
    if isinstance(read, UnsafePath):
        return ()
    steps: list[Step] = []
    for route, match in zip(policy.routes, policy.router.matches, strict=True):
        why_not = _mismatch(policy, match, method, read.canonical, headers)
        steps.append(Step(route.name, not why_not, why_not or _agreement(match)))
        if not why_not:
            return tuple(steps)
    return (*steps, Step(policy.unmatched.name, matches=True, why="no route matches"))


def _mismatch(
    policy: Policy, match: Match, method: str, segments: Segments, headers: Headers
) -> str:
    if not policy.router.path_matches(match, segments):
        return f"the path does not match {match.pattern.text}"
    if not match.takes_method(method):
        return f"the method is not one of {', '.join(sorted(match.methods or ()))}"
    if (missing := match.missing(headers)) is not None:
        name, value = missing
        return f"no header {name.decode('ascii')} with the value {value.decode('latin-1')!r}"
    return ""


def _agreement(match: Match) -> str:
    parts = [f"the path matches {match.pattern.text}"]
    if match.methods is not None:
        parts.append("the method is listed")
    if match.headers:
        parts.append("the headers are there")
    return ", ".join(parts)


def _detours(
    policy: Policy, method: str, path: str, headers: Headers
) -> tuple[tuple[str, str], ...]:
    read = policy.router.read(path)
    if isinstance(read, UnsafePath):
        return ()
    router = policy.router
    names = _names(policy)
    here = router.choose(method, read.canonical, headers, exact=router.case_sensitive)
    found = {
        ("/" + "/".join(other.segments), names[number]): None
        for other in read.others
        if (number := router.choose(method, other.segments, headers, exact=other.exact)) != here
    }
    return tuple(found)


def _overrides(
    policy: Policy, method: str, path: str, headers: Headers, query: str
) -> tuple[tuple[str, str], ...]:
    """Return where the methods lead that the call asks for by an override."""
    here = policy.router.find_as(method, path, headers)
    found: list[tuple[str, str]] = []
    for asked in sorted(asked_methods(headers, query)):
        there = policy.router.find_as(asked, path, headers)
        if not isinstance(there, UnsafePath) and there != here:
            found.append((f"{asked} {path}", _names(policy)[there]))
    return tuple(found)


def _names(policy: Policy) -> list[str]:
    return [*(route.name for route in policy.routes), policy.unmatched.name]


def _price(
    meter: Meter | None, headers: Headers, body: bytes
) -> tuple[int | UnreadableAmount | None, tuple[Consequence, ...]]:
    if meter is None:
        return None, ()
    if meter.amount.needs_body and len(body) > meter.body_limit:
        amount: int | UnreadableAmount = UnreadableAmount(
            f"the body is over body_limit, {meter.body_limit} bytes"
        )
        return amount, (Consequence("always", Reason.BAD_REQUEST, 413),)
    rule = meter.amount
    if isinstance(rule, JsonAmount):
        amount = rule.read(headers, body, meter.body_limit)
    else:
        amount = rule.read(headers)
    if isinstance(amount, UnreadableAmount):
        return amount, (Consequence("always", Reason.BAD_REQUEST, amount.status),)
    return amount, of_meter(meter, free=amount == 0)


def render(explanation: Explanation) -> str:
    """Return an explanation as text for a terminal, without a final line break."""
    lines = [f"{explanation.method} {explanation.path}"]
    if isinstance(explanation.normal, str) and explanation.normal != explanation.path:
        lines.append(f"  read as {explanation.normal}")
    lines.append("routes, in order")
    lines += [
        f"  {'yes' if step.matches else 'no '}  {step.route}: {step.why}"
        for step in explanation.steps
    ]
    if explanation.detours:
        lines.append("other ways to read the call")
        lines += [f"  {path} would be {name}" for path, name in explanation.detours]
    lines += _verdict_lines(explanation)
    lines.append("outcomes")
    lines += [
        f"  {c.reason.value} ({c.status or 'upstream'}): {c.when}" for c in explanation.consequences
    ]
    return "\n".join(lines)


def _verdict_lines(explanation: Explanation) -> list[str]:
    route = explanation.route
    if route is None:
        return [f"refused: {explanation.refused}"]
    lines = [f"route: {route.name}"]
    meter = route.meter
    if meter is None:
        return [*lines, "cost: nothing, not metered"]
    if isinstance(explanation.amount, UnreadableAmount):
        return [*lines, f"cost: cannot be read: {explanation.amount.detail}"]
    unit = "bytes" if meter.resource == Resource.STORAGE_BYTES else "units"
    lines.append(
        f"cost: {explanation.amount} {unit} of {meter.resource} "
        f"(amount: {json.dumps(amount_as_value(meter.amount))})"
    )
    if explanation.key_parts is not None:
        lines += _key_lines(explanation.key_parts, explanation.key)
    return lines


def _key_lines(parts: KeyParts, key: str | None) -> list[str]:
    values = asdict(parts)
    lines = [f"key: {key}" if key else "key: a digest over"]
    lines += [f"  {field.name}: {values[field.name]}".rstrip() for field in fields(parts)]
    return [
        *lines,
        "  attempt: how often this ID was charged before",
        "  nonce: of the process, unless a trusted proxy chose the ID",
    ]
