"""The bytes of a policy file, before anybody has looked at what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sidecar.policy.problems import PolicyError, PolicyProblem

MAX_BYTES: Final = 1 << 20
"""The size of the largest ConfigMap; a larger file is a mistake."""


def read_policy_file(path: Path) -> bytes:
    """Return the file's bytes, one more at most than a policy may have.

    Raises PolicyError when it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}; name a readable file"
        raise PolicyError([PolicyProblem(str(path), 0, 0, reason)]) from None
