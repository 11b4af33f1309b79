"""Warnings of `bb-sidecar check`: a policy can be used, but may not do what is meant."""

from __future__ import annotations

from sidecar.policy.load import find_problems
from sidecar.policy.problems import Severity
from sidecar.policy.risks import Deployment

POLICY = """\
version: 1
product: acme
identity:
  - bearer: true
routes:
  - {name: paid, match: {path: /paid/**}, meter: {refund: %s}}
  - {name: free, match: {path: /**}, action: allow}
"""


def warnings(text: str, deployment: Deployment | None = None) -> list[str]:
    """Return the warnings for a policy; there are no errors."""
    found = find_problems(text.encode(), file="p.yaml", environ=None, deployment=deployment)
    assert all(problem.severity is Severity.WARNING for problem in found)
    return [str(problem) for problem in found]


def test_a_refund_under_trusted_ids_without_redis_is_warned_about() -> None:
    """Another replica may have charged the same key, so nothing is given back."""
    (warning,) = warnings(POLICY % "unreached", Deployment(trusted_proxies=True))
    assert warning.startswith("p.yaml:6:12: warning: `refund: unreached` of `paid` gives nothing")
    assert warning.endswith("set REDIS_URL (--redis)")


def test_a_refund_with_redis_or_without_trusted_ids_is_not_warned_about() -> None:
    """Keys are then this process's own."""
    both = Deployment(trusted_proxies=True, shared_attempts=True)
    assert warnings(POLICY % "unreached", both) == []
    assert warnings(POLICY % "unreached") == []
    assert warnings(POLICY % "never", Deployment(trusted_proxies=True)) == []
