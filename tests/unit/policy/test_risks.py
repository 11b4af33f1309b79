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
    assert not any(problem.severity is Severity.ERROR for problem in found)
    return [str(problem) for problem in found if problem.severity is Severity.WARNING]


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


def test_a_budget_is_noted_as_that_of_each_replica() -> None:
    """Once for each budget, not for each route; nothing where no route fails open."""
    two = POLICY.replace(
        "  - {name: free",
        "  - {name: more, match: {path: /more}, meter: {fail_open_budget: {units: 5}}}\n"
        "  - {name: same, match: {path: /same}, meter: {}}\n  - {name: free",
    )
    found = find_problems(
        (two % "never").encode(), file="p.yaml", environ=None, deployment=Deployment()
    )
    assert [(problem.severity, problem.line) for problem in found] == [
        (Severity.NOTE, 6),
        (Severity.NOTE, 7),
    ]
    assert "each replica lets through up to 1000 units of ai_calls per org in 900 s" in str(
        found[0]
    )
    assert "up to 5 units" in str(found[1])
    closed = POLICY.replace("refund: %s", "on_platform_error: fail_closed")
    assert (
        find_problems(closed.encode(), file="p.yaml", environ=None, deployment=Deployment()) == []
    )
