"""What `bb-sidecar explain` says of one call: by the engine's own parts, without asking anyone."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from sidecar.admission.findings import (
    Free,
    Preflight,
    TooLong,
    price_of,
    unmetered_finding,
)
from sidecar.admission.idempotency import key_of, scope_of
from sidecar.commands.answer_price import AnswerPrice, price_answer
from sidecar.commands.explanation import Cost, Explanation, KeyParts, render
from sidecar.commands.prospects import (
    of_metered,
    of_unmetered,
)
from sidecar.domain.credentials import (
    CookieSource,
    IdentityFailure,
    IdentitySource,
)
from sidecar.domain.errors import UserError
from sidecar.domain.model import Call, Headers, Identity, RequestIdOrigin
from sidecar.identity.claims import read_claims
from sidecar.identity.credentials import find_credential
from sidecar.identity.jws import decode_segment, read_object
from sidecar.policy.amounts import JsonAmount, UnreadableAmount
from sidecar.policy.compiled import Meter, Policy, Route, UnsafePath
from sidecar.policy.explain import detours_of, steps_of
from sidecar.policy.file import read_policy_file
from sidecar.policy.load import load_policy
from sidecar.policy.paths import normalise
from sidecar.policy.preflight import preflight_method
from sidecar.policy.view import amount_as_value
from sidecar.settings.commands import ProductSettings
from sidecar.settings.fields import read_section

_UNKNOWN: Final = Identity("<org>", "<user>", "", "", frozenset(), {}, None, 0.0)
_UNKNOWN_ID: Final = "<request id>"


def explain_command(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Print the explanation of one call; return the exit status."""
    given = read_section(ProductSettings, args, environ)
    data: str | None = args.data
    body = None if data is None else os.fsencode(data)  # the bytes as they were typed
    if data is not None and data.startswith("@"):
        body = _contents(Path(data[1:]))
    answer: Path | None = args.answer
    explained = explain_call(
        args.policy,
        method=args.method,
        target=args.path,
        headers=args.header,
        body=body,
        product=given.product,
        answer=None if answer is None else _contents(answer),
        as_json=args.json,
    )
    sys.stdout.write(f"{explained}\n")
    return 0


def explain_call(
    policy_file: Path,
    *,
    method: str,
    target: str,
    headers: Headers,
    body: bytes | None,
    product: str | None = None,
    answer: bytes | None = None,
    as_json: bool = False,
) -> str:
    """Explain one call, and price its `answer`; raises a UserError for what cannot be used.

    A `body` has its Content-Length, as any client would send it; None is no body. `product`
    overrides the policy's, as it does where the sidecar runs.
    """
    data = read_policy_file(policy_file)
    policy = load_policy(data, file=str(policy_file), environ=None)
    if body is not None and not any(name == b"content-length" for name, _ in headers):
        headers = [*headers, (b"content-length", str(len(body)).encode())]
    path, _, query = target.partition("?")
    given = [value for name, value in headers if name == b"x-request-id"]
    request_id = given[0].decode("latin-1") if len(given) == 1 else _UNKNOWN_ID
    call = Call(method, path, query, headers, request_id, RequestIdOrigin.TRUSTED)
    explanation = explain(policy, call, body or b"", product or policy.product, answer)
    return json.dumps(asdict(explanation), indent=2) if as_json else render(explanation)


def explain(
    policy: Policy, call: Call, body: bytes, product: str, answer: bytes | None = None
) -> Explanation:
    """Follow a call through the policy; its `query` and `request_id` are part of the key."""
    method, path, headers = call.method, call.path, call.headers
    preflight = policy.preflight_route(method, path, headers, query=call.query)
    asked = None if preflight is None else preflight_method(method, headers, call.query)
    decides = method if asked is None else asked
    found = preflight or policy.route_for(method, path, headers, query=call.query)
    caller = _caller(headers, policy.identity)
    normal = normalise(path)
    cost: Cost | None = None
    key: KeyParts | None = None
    if isinstance(found, UnsafePath):
        outcomes = of_unmetered(found)
    elif preflight is not None:
        outcomes = of_unmetered(Preflight(), "always: a browser's preflight")
    elif found.meter is None:
        finding = unmetered_finding(found, matched=found is not policy.unmatched)
        outcomes = of_unmetered(finding)
    else:
        price = _price(found.meter, headers, body)
        cost = _cost(found.meter, price)
        outcomes = of_metered(found.meter, price, product)
        if isinstance(price, int):
            key = _key(call, found, found.meter, caller, product=product, amount=price)
    return Explanation(
        method=method,
        path=path,
        read_as=normal if isinstance(normal, str) and normal != path else None,
        steps=steps_of(policy, decides, path, headers),
        other_readings=detours_of(policy, method, path, headers, call.query),
        route=None if isinstance(found, UnsafePath) else found.name,
        refused=found.detail if isinstance(found, UnsafePath) else "",
        caller=_named(caller, policy.identity),
        cost=cost,
        key=key,
        outcomes=outcomes,
        answer=None if answer is None else _answer_price(found, cost, body, answer),
    )


def _answer_price(
    found: Route | UnsafePath, cost: Cost | None, body: bytes, answer: bytes
) -> AnswerPrice:
    meter = None if isinstance(found, UnsafePath) else found.meter
    if meter is None or meter.usage is None:
        name = "refused" if isinstance(found, UnsafePath) else f"of the route {found.name}"
        raise UserError(
            f"--answer: the call is {name}, whose answers have no price: give its meter `usage`"
        )
    deposit = None if cost is None else cost.amount
    return price_answer(meter.usage, answer, body, 1 if deposit is None else deposit)


def _contents(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}: name a file that can be read") from error


def _caller(headers: Headers, sources: Sequence[IdentitySource]) -> Identity | IdentityFailure:
    """Read who calls from the token among `headers`, without verifying it."""
    found = find_credential(headers, sources)
    if isinstance(found, IdentityFailure):
        return found
    _, token = found
    payload = decode_segment(token.partition(b".")[2].partition(b".")[0])
    members = None if payload is None else read_object(payload)
    if members is None:
        return IdentityFailure.MALFORMED
    return read_claims(members, None)


def _named(caller: Identity | IdentityFailure, sources: Sequence[IdentitySource]) -> str:
    if isinstance(caller, Identity):
        return caller.org_id
    if caller is not IdentityFailure.MISSING or not sources:
        return caller.value
    first = sources[0]
    field = "Authorization: Bearer TOKEN"
    if isinstance(first, CookieSource):
        field = f"Cookie: {first.name}=TOKEN"
    return f"no token was given; to see whose call it is, add -H '{field}'"


def _price(meter: Meter, headers: Headers, body: bytes) -> int | Free | TooLong | UnreadableAmount:
    amount = meter.amount
    if not isinstance(amount, JsonAmount):
        return price_of(amount.read(headers))
    if len(body) > meter.body_limit:
        return TooLong(meter.body_limit)
    return price_of(amount.read(headers, body, meter.body_limit))


def _cost(meter: Meter, price: int | Free | TooLong | UnreadableAmount) -> Cost:
    amount: int | None = None
    problem = ""
    match price:
        case TooLong(limit):
            problem = f"the body is over body_limit, {limit} bytes"
        case UnreadableAmount(detail):
            problem = detail
        case Free():
            amount = 0
        case int():
            amount = price
    return Cost(meter.resource, amount_as_value(meter.amount), amount, problem)


def _key(
    call: Call,
    route: Route,
    meter: Meter,
    caller: Identity | IdentityFailure,
    *,
    product: str,
    amount: int,
) -> KeyParts:
    identity = _UNKNOWN if isinstance(caller, IdentityFailure) else caller
    parts = {
        "product": product,
        "org_id": identity.org_id,
        "user_id": identity.user_id,
        "route": route.name,
        "method": call.method,
        "path": call.path,
        "resource": meter.resource,
        "request_id": call.request_id,
    }
    key: str | None = None
    if identity is not _UNKNOWN and call.request_id != _UNKNOWN_ID:
        key = key_of(scope_of(**parts), 0, b"", query=call.query, amount=amount)
    return KeyParts(key=key, query=call.query, amount=amount, **parts)
