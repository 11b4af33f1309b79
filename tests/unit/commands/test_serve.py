"""How `bb-sidecar run` begins: one process or several, and what signals do meanwhile."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.domain.errors import UserError
from tests.fakes.command_line import policy_file, run


@pytest.fixture
def policy(tmp_path: Path) -> str:
    """A policy file."""
    return policy_file(tmp_path)


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Let no test leave the signals as a sidecar that starts has them."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_run_starts_one_sidecar_or_several(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    policy: str,
    workers: str,
) -> None:
    """One worker is this process; more are processes of their own."""
    started: list[str] = []

    def one(*_: object) -> int:
        started.append("1")
        return 0

    def several(*_: object) -> int:
        started.append("2")
        return 0

    monkeypatch.setattr("sidecar.app.process.run", one)
    monkeypatch.setattr("sidecar.workers.supervisor.run_workers", several)
    monkeypatch.setenv("PLATFORM_INTERNAL_KEY", "bbas_x")
    argv = ("run", "--policy", policy, "--upstream", "http://127.0.0.1:1", "--workers", workers)
    assert run(capsys, *argv) == (0, "", "")
    assert started == [workers]


def test_what_is_wrong_with_settings_and_policy_comes_at_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A line each; the second mistake is not found only when the first is fixed."""
    bad = tmp_path / "policy.yaml"
    bad.write_text("version: 2\nroutes: []\n")
    argv = ("run", "--policy", str(bad), "--upstream", "x", "--key-file", "/nope",
            "--port", "0", "--admin", "127.0.0.1:0")  # fmt: skip
    status, out, err = run(capsys, *argv)
    assert (status, out) == (2, "")
    assert [line.removeprefix("bb-sidecar: ").partition(": ")[0] for line in err.splitlines()] == [
        "--upstream", "--key-file", f"{bad}:1:1", f"{bad}:1:10", f"{bad}:2:9",
    ]  # fmt: skip


def test_every_address_that_is_taken_comes_at_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    """With what ended the start, which may be one of them."""

    def fails(*_: object) -> int:
        raise UserError("--admin: is wrong")

    monkeypatch.setattr("sidecar.app.process.run", fails)
    monkeypatch.setenv("PLATFORM_INTERNAL_KEY", "bbas_x")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, _, err = run(
            capsys, "run", "--policy", policy, "--upstream", "http://127.0.0.1:1",
            "--host", "127.0.0.1", "--port", str(port), "--metrics", "notahost.invalid:0",
            "--admin", "127.0.0.1:0",
        )  # fmt: skip
    assert status == 2
    assert [line.removeprefix("bb-sidecar: ").partition(" ")[0] for line in err.splitlines()] == [
        "--admin:", "--port:", "--metrics:",
    ]  # fmt: skip
