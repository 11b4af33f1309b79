"""What `bb-sidecar check` finds."""

from __future__ import annotations

from pathlib import Path

from sidecar.policy.check import check_file

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
    assert check_file(file, {}) == []


def test_problems_name_the_file(tmp_path: Path) -> None:
    """Each problem can be jumped to."""
    file = tmp_path / "policy.yaml"
    file.write_text(GOOD.replace("meter: {}", "meter: {amount: 0}"))
    assert [str(problem) for problem in check_file(file)] == [
        f"{file}:6:53: `amount` must be at least 1, not 0"
    ]


def test_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    """One line, no traceback."""
    file = tmp_path / "absent.yaml"
    assert [str(problem) for problem in check_file(file)] == [
        f"{file}:1:1: cannot be read: No such file or directory; name a readable file"
    ]
