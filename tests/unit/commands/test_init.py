"""`bb-sidecar init`: policies to start from."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.cli import main
from sidecar.commands.init import STARTERS, starter
from sidecar.policy.load import find_problems
from sidecar.policy.problems import Severity
from sidecar.policy.risks import Deployment


@pytest.mark.parametrize("kind", STARTERS)
def test_a_starter_has_no_problem(kind: str) -> None:
    """Neither an error nor a warning: it is what a reader learns from."""
    alone = Deployment(trusted_proxies=False, shared_attempts=False)
    found = find_problems(starter(kind).encode(), file="p", environ=None, deployment=alone)
    assert {problem.severity for problem in found} <= {Severity.NOTE}


def test_the_policy_is_for_the_product_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the local platform's export lines set it; the flag wins."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRODUCT_SLUG", "acme-notes")

    assert main(["init"]) == 0
    assert main(["init", "other.yaml", "--for", "openai", "--product", "other-app"]) == 0

    assert "\nproduct: acme-notes\n" in (tmp_path / "policy.yaml").read_text()
    assert "\nproduct: other-app\n" in (tmp_path / "other.yaml").read_text()
    assert "bb-sidecar check policy.yaml" in capsys.readouterr().out


def test_a_file_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It may be the policy in force."""
    file = tmp_path / "policy.yaml"
    file.write_text("mine\n")

    assert main(["init", str(file)]) == 2
    assert file.read_text() == "mine\n"
    assert "exists already: name a new file, or remove it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("init", "/nowhere/p.yaml"), "init: /nowhere/p.yaml: No such file or directory"),
        (("init", "--product", "Not A Slug", "-"), "--product: 'Not A Slug' is not a slug"),
        (("init", "--for", "cobol"), "invalid choice"),
    ],
)
def test_a_mistake_is_one_line(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the flag or the file, the value and the fix."""
    assert main(words) == 2
    assert said in capsys.readouterr().err


def test_a_dash_is_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """For a pipe into a ConfigMap."""
    assert main(["init", "-", "--for", "anthropic"]) == 0
    assert capsys.readouterr().out == starter("anthropic")
