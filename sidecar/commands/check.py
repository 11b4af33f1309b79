"""`bb-sidecar check`: every problem of a policy, a line each."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping

from sidecar.policy.doors import DoorKind
from sidecar.policy.file import read_policy_file
from sidecar.policy.load import find_problems
from sidecar.policy.problems import Severity
from sidecar.policy.risks import Deployment


def check(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Print the problems of a policy file; return 1 where one is an error.

    It is read once, so that it may be a pipe. The secrets that it names need not be there: a policy
    is checked where it is written, not where it runs.
    """
    deployment = Deployment(
        trusted_proxies=bool(environ.get("SIDECAR_TRUSTED_PROXIES")),
        shared_attempts=bool(environ.get("REDIS_URL")),
    )
    problems = find_problems(
        read_policy_file(args.file),
        file=str(args.file),
        environ=None,
        deployment=deployment,
        door=DoorKind(args.door),
    )
    for problem in problems:
        sys.stdout.write(f"{problem}\n")
    if any(problem.severity is Severity.ERROR for problem in problems):
        return 1
    count = sum(problem.severity is Severity.WARNING for problem in problems)
    warnings = f", with {count} warning{'s'[: count > 1]}" if count else ""
    sys.stdout.write(f"{args.file}: ok{warnings}\n")
    return 0
