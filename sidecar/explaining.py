"""What `bb-sidecar explain` prints: the policy's explanation, with the engine's own keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from sidecar.admission.idempotency import key_of, scope_of
from sidecar.policy.explain import KeyParts, explain, render
from sidecar.policy.store import PolicyStore


def explain_call(
    policy_file: Path,
    environ: Mapping[str, str],
    *,
    method: str,
    target: str,
    headers: Sequence[tuple[bytes, bytes]],
    body: bytes,
) -> str:
    """Explain one call; raises PolicyError, a UserError, for a file that cannot be used."""
    policy = PolicyStore(policy_file, environ).current
    explanation = explain(policy, method, target, headers, body, derive_key=_first_key)
    return render(explanation)


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
    return key_of(scope, 0, b"")
