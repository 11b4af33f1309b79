"""What `bb-sidecar check FILE` finds."""

from __future__ import annotations

from pathlib import Path

from sidecar.policy.doors import DoorKind
from sidecar.policy.file import read_policy_file
from sidecar.policy.load import find_problems
from sidecar.policy.problems import PolicyProblem
from sidecar.policy.risks import Deployment


def check_file(
    path: Path, deployment: Deployment | None = None, door: DoorKind = DoorKind.PROXY
) -> list[PolicyProblem]:
    """Return every problem of a policy file, warnings included, in the file's order.

    Raises PolicyError when it cannot be read: that is no problem of the policy. It is read once,
    so that it may be a pipe. The secrets that it names need not be there: a policy is checked where
    it is written, not where it runs.
    """
    return find_problems(
        read_policy_file(path), file=str(path), environ=None, deployment=deployment, door=door
    )
