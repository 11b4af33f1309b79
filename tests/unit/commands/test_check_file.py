"""What `bb-sidecar check` finds."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sidecar.commands.check import check_file
from sidecar.policy.problems import PolicyError

GOOD = """\
version: 1
product: acme
identity:
  - {cookie: acme_session, secret_env: SECRET_THAT_IS_NOT_SET}
routes:
  - {name: all, match: {path: /**}, meter: {}}
"""


def test_good_file_has_no_problems(tmp_path: Path) -> None:
    """The secret is there where the sidecar runs, not where its policy is written."""
    file = tmp_path / "policy.yaml"
    file.write_text(GOOD)
    assert check_file(file) == []


def test_problems_name_the_file(tmp_path: Path) -> None:
    """Each problem can be jumped to."""
    file = tmp_path / "policy.yaml"
    file.write_text(GOOD.replace("meter: {}", "meter: {amount: 0}"))
    assert [str(problem) for problem in check_file(file)] == [
        f"{file}:6:53: `amount` must be at least 1, not 0"
    ]


def test_file_that_cannot_be_read_is_no_problem_of_the_policy(tmp_path: Path) -> None:
    """It is told as a mistake of the caller: one line, no traceback."""
    file = tmp_path / "absent.yaml"
    with pytest.raises(PolicyError) as told:
        check_file(file)
    assert str(told.value) == (
        f"{file}: cannot be read: No such file or directory; name a readable file"
    )


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    """`... | bb-sidecar check /dev/stdin`: what was read cannot be read again."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as writing:
        writing.submit(pipe.write_text, GOOD)
        assert check_file(pipe) == []
