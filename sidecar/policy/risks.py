"""Warnings: a policy that can be used, but may charge or admit what its author did not mean.

`bb-sidecar check` prints them with their lines; they never stop a sidecar.
"""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.model import Refund
from sidecar.policy.compiled import Policy
from sidecar.policy.source import Document


@dataclass(frozen=True, slots=True)
class Deployment:
    """How the policy will run, as far as the environment of `check` says.

    `trusted_proxies`: request IDs of some peers are believed. `shared_attempts`: their attempt
    numbers are counted in Redis.
    """

    trusted_proxies: bool = False
    shared_attempts: bool = False


def warn_of_risks(document: Document, policy: Policy, deployment: Deployment) -> None:
    """Add a warning to `document` for each risk of `policy`, which was compiled from it."""
    if deployment.trusted_proxies and not deployment.shared_attempts:
        _warn_of_refunds(document, policy)


def _warn_of_refunds(document: Document, policy: Policy) -> None:
    """Another replica may have charged the same key: nothing is given back under it."""
    for number, route in enumerate(policy.routes):
        if route.meter is not None and route.meter.refund is not Refund.NEVER:
            document.warn(
                ("routes", number, "name"),
                f"`refund: {route.meter.refund}` of `{route.name}` gives nothing back for the "
                "request IDs of trusted proxies without Redis: another replica may have charged "
                "the same key; set REDIS_URL (--redis)",
            )
