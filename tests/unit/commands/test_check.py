"""`bb-sidecar check`: what is printed, and with which exit status."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fakes.command_line import policy_file, run


@pytest.fixture
def policy(tmp_path: Path) -> str:
    """A policy file."""
    return policy_file(tmp_path)


def test_check(capsys: pytest.CaptureFixture[str], policy: str) -> None:
    """A good file is ok; a bad one has its problems on stdout, and 1."""
    status, out, err = run(capsys, "check", policy)
    assert (status, out.splitlines()[-1], err) == (0, f"{policy}: ok", "")
    assert ": note: while the platform does not answer, each replica" in out
    Path(policy).write_text("version: 2\n")
    status, out, err = run(capsys, "check", policy)
    assert (status, err) == (1, "")
    assert out.startswith(f"{policy}:1:")


def test_check_with_a_warning_is_ok(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    """A warning is printed, and the exit status is that of a good file."""
    monkeypatch.setenv("SIDECAR_TRUSTED_PROXIES", "10.0.0.0/8")
    monkeypatch.delenv("REDIS_URL", raising=False)
    status, out, err = run(capsys, "check", policy)
    assert (status, err) == (0, "")
    assert ": warning: `refund: unreached`" in out
    assert out.endswith(f"{policy}: ok, with 1 warning\n")


def test_a_secret_that_is_not_set_is_no_problem(
    capsys: pytest.CaptureFixture[str], policy: str
) -> None:
    """It is there where the sidecar runs, not where its policy is written."""
    text = Path(policy).read_text()
    named = "identity: [{cookie: app, secret_env: SECRET_THAT_IS_NOT_SET}, "
    Path(policy).write_text(text.replace("identity: [", named))
    assert "SECRET_THAT_IS_NOT_SET" in Path(policy).read_text()
    assert run(capsys, "check", policy)[0] == 0


def test_a_pipe_is_read_once(
    capsys: pytest.CaptureFixture[str], policy: str, tmp_path: Path
) -> None:
    """`... | bb-sidecar check /dev/stdin`: what was read cannot be read again."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as writing:
        writing.submit(pipe.write_text, Path(policy).read_text())
        assert run(capsys, "check", str(pipe))[0] == 0


def test_check_of_a_folder_is_a_mistake(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What cannot be read is told as any other mistake."""
    status, out, err = run(capsys, "check", str(tmp_path))
    assert (status, out) == (2, "")
    assert str(tmp_path) in err


def test_check_for_a_door(capsys: pytest.CaptureFixture[str], policy: str) -> None:
    """What the door cannot keep is an error, with the route and the fix."""
    text = Path(policy).read_text().replace("meter: {", "meter: {refund: failed, ")
    Path(policy).write_text(text)
    assert run(capsys, "check", policy, "--door", "asgi")[0] == 0
    status, out, _ = run(capsys, "check", policy, "--door", "authz")
    assert status == 1
    assert "route 'chat': the door authz never sees an answer" in out
