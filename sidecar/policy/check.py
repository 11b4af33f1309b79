"""What `bb-sidecar check FILE` finds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sidecar.policy.load import find_problems
from sidecar.policy.problems import PolicyError, Problem
from sidecar.policy.store import read_policy_file


def check_file(path: Path, environ: Mapping[str, str] | None = None) -> list[Problem]:
    """Return every problem of a policy file, in the file's order; empty when it is good.

    The secrets that it names need not be there: a policy is checked where it is written, not
    where it runs. `environ` is taken so that the command need not know that.
    """
    del environ
    try:
        data = read_policy_file(path)
    except PolicyError as error:
        return list(error.problems)
    return find_problems(data, file=str(path), environ=None)
