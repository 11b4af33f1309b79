"""What `bb-sidecar explain` prints: the policy's explanation, with the engine's own keys."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import assert_never

from sidecar.admission.idempotency import key_of, scope_of
from sidecar.domain.model import BearerSource, CookieSource, Headers, IdentitySource
from sidecar.policy.explain import KeyParts, explain, render
from sidecar.policy.file import read_policy_file
from sidecar.policy.load import AnySecret, load_policy


def explain_call(
    policy_file: Path,
    *,
    method: str,
    target: str,
    headers: Sequence[tuple[bytes, bytes]],
    body: bytes | None,
    product: str | None = None,
) -> str:
    """Explain one call; raises PolicyError, a UserError, for a file that cannot be used.

    Who calls is read from the token among `headers`, without verifying it: nothing is decided here.
    A `body` has its Content-Length, as any client would send it; None is no body. `product`
    overrides the policy's, as it does where the sidecar runs.
    """
    data = read_policy_file(policy_file)
    policy = load_policy(data, file=str(policy_file), environ=AnySecret())
    if body is not None and not _all(headers, b"content-length"):
        headers = [*headers, (b"content-length", str(len(body)).encode())]
    named = {
        "product": product,
        "org_id": _claim(headers, policy.identity, "org_id"),
        "user_id": _claim(headers, policy.identity, "user_id"),
        "request_id": _only(headers, b"x-request-id"),
    }
    known = {name: value for name, value in named.items() if value}
    return render(
        explain(policy, method, target, headers, body or b"", derive_key=_first_key, **known)
    )


def _first_key(parts: KeyParts) -> str:
    """Return the key of the first attempt, as for an ID that a trusted proxy chose."""
    scope = scope_of(
        product=parts.product,
        org_id=parts.org_id,
        user_id=parts.user_id,
        route=parts.route,
        method=parts.method,
        path=parts.path,
        resource=parts.resource,
        request_id=parts.request_id,
    )
    return key_of(scope, 0, b"", query=parts.query, amount=parts.amount)


def _claim(headers: Headers, sources: Sequence[IdentitySource], name: str) -> str:
    """Read a claim of the first token that is present; "" where there is none."""
    token = next((found for each in sources if (found := _token(headers, each))), "")
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError):
        return ""
    value = claims.get(name) if isinstance(claims, dict) else None
    return value if isinstance(value, str) else ""


def _token(headers: Headers, source: IdentitySource) -> str:
    match source:
        case CookieSource(name):
            pairs = ";".join(_all(headers, b"cookie")).split(";")
            cookies = dict(pair.strip().partition("=")[::2] for pair in pairs)
            return cookies.get(name, "")
        case BearerSource():
            scheme, _, token = _only(headers, b"authorization").partition(" ")
            return token.strip() if scheme.lower() == "bearer" else ""
    assert_never(source)


def _only(headers: Headers, name: bytes) -> str:
    values = _all(headers, name)
    return values[0] if len(values) == 1 else ""


def _all(headers: Headers, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key == name]
