"""A policy file's bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.policy.file import MAX_BYTES, read_policy_file
from sidecar.policy.problems import PolicyError


def test_a_file_is_read_within_bounds() -> None:
    """A path to something endless does not fill the memory."""
    assert len(read_policy_file(Path("/dev/zero"))) == MAX_BYTES + 1


def test_an_absent_file_is_told_with_the_mend(tmp_path: Path) -> None:
    """The path stands where the position of any other problem does."""
    with pytest.raises(PolicyError, match=r"absent.yaml: cannot be read: No such file.*name a"):
        read_policy_file(tmp_path / "absent.yaml")
