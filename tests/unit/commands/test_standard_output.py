"""Standard output that cannot be written: one line, whatever the command."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from sidecar.commands.standard_output import guarded_output
from sidecar.domain.errors import UserError

POLICY = """
version: 1
product: acme-notes
identity: [{cookie: bb_at}]
routes: [{name: chat, match: {path: /chat}, meter: {}}]
"""
ONE_LINE = "bb-sidecar: stdout: No space left on device: "


@pytest.fixture
def policy(tmp_path: Path) -> str:
    """A policy file."""
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return str(path)


def to_full_disk(argv: Sequence[str], **environ: str) -> tuple[int, str]:
    """Run a command with its output on a full disk; return its status and stderr."""
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(  # noqa: S603 - our own interpreter and our own code
            [sys.executable, "-m", "sidecar", *argv],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environ},
            timeout=50,
            check=False,
        )
    return ran.returncode, ran.stderr


@pytest.mark.parametrize("buffering", ["", "1"])
@pytest.mark.parametrize("command", ["--help", "--version", "check", "explain", "demo"])
def test_a_full_disk_is_one_line(policy: str, command: str, buffering: str) -> None:
    """At the write or at the last flush, whether or not Python keeps output back."""
    more = {"check": [policy], "explain": ["--policy", policy, "GET", "/chat"]}.get(command, [])
    status, told = to_full_disk([command, *more], PYTHONUNBUFFERED=buffering)
    lines = told.splitlines()
    assert (status, [line for line in lines if line.startswith(ONE_LINE)]) == (2, lines[-1:])
    assert "Traceback" not in told
    assert command == "demo" or len(lines) == 1


def test_closed_output_is_no_fault(policy: str) -> None:
    """A program started without one: Python has none then, not even a closed one."""
    ran = subprocess.run(  # noqa: S602 - the shell is what closes it
        f"'{sys.executable}' -m sidecar check '{policy}' >&-",
        shell=True,
        stderr=subprocess.PIPE,
        timeout=50,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, b"")


def test_a_reader_that_has_gone_is_no_mistake(policy: str) -> None:
    """`| head` ends the command without a word."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as output:
        ran = subprocess.run(  # noqa: S603 - our own interpreter and our own code
            [sys.executable, "-m", "sidecar", "check", policy],
            stdout=output,
            stderr=subprocess.PIPE,
            timeout=50,
            check=False,
        )
    assert (ran.returncode, ran.stderr) == (0, b"")


def test_what_an_encoding_lacks_is_escaped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A terminal of another country shows what it can; the stream is back afterwards."""
    with (tmp_path / "out").open("w+", encoding="ascii") as file:
        monkeypatch.setattr(sys, "stdout", file)
        with guarded_output():
            sys.stdout.write("caf\u00e9\n")
        assert sys.stdout is file
    assert (tmp_path / "out").read_bytes() == b"caf\\xe9\n"


def test_output_without_a_descriptor_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that collects what a command prints."""
    for stream in (io.StringIO(), io.TextIOWrapper(io.BytesIO(), encoding="utf-8")):
        monkeypatch.setattr(sys, "stdout", stream)
        with guarded_output():
            sys.stdout.write("shown\n")
        stream.seek(0)
        assert stream.read() == "shown\n"


def test_a_failure_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is printed after it is dropped, and the block's own error is what is raised."""
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(UserError, match="No space left"):
            _write_twice()


def _write_twice() -> None:
    with guarded_output():
        try:
            sys.stdout.write("x" * 100_000)
        finally:
            sys.stdout.write("more")
