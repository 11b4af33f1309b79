"""The command line in this process: what is printed, where, and with which exit status."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar import __version__, cli
from sidecar.domain.errors import UserError
from tests.fakes.command_line import policy_file, run


@pytest.fixture
def policy(tmp_path: Path) -> str:
    """A policy file."""
    return policy_file(tmp_path)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints the name and the version."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"bb-sidecar {__version__}\n"


def test_a_mistake_is_one_line_and_2(capsys: pytest.CaptureFixture[str]) -> None:
    """The program is named once, and the help that knows more."""
    status, out, err = run(capsys, "token")
    assert (status, out) == (2, "")
    assert err.startswith("bb-sidecar: token: ")
    assert err.endswith("(see bb-sidecar token --help)\n")
    assert "bb-sidecar: run: unknown argument --speed (see" in run(capsys, "run", "--speed")[2]


def test_a_flag_with_a_typo_gets_the_flag_that_was_meant(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And the help of its own command, also of one below another."""
    said = "bb-sidecar: run: unknown argument --upstrem; did you mean --upstream? (see bb-sidecar"
    assert run(capsys, "run", "--upstrem=http://x")[2] == f"{said} run --help)\n"
    _, _, err = run(capsys, "quota", "status", "--jsn")
    assert err.endswith(
        "unknown argument --jsn; did you mean --json? (see bb-sidecar quota status --help)\n"
    )


def test_a_key_in_a_mistake_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    """What was typed in the wrong place does not end in a build log."""
    _, _, err = run(capsys, "run", "--key-value", "bbas_secret_0123")
    assert "unknown argument --key-value" in err
    assert "secret_0123" not in err


def test_flags_are_not_abbreviated(capsys: pytest.CaptureFixture[str], policy: str) -> None:
    """An abbreviation could come to mean another flag with the next version."""
    status, _, err = run(capsys, "explain", "--pol", policy, "GET", "/")
    assert status == 2
    assert "--policy" in err


def test_ctrl_c_is_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    """As shells have it, and without a traceback."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sidecar.commands.check.read_policy_file", interrupted)
    assert run(capsys, "check", policy) == (130, "", "")


@pytest.mark.parametrize("source", ["inline", "file"])
def test_explain_reads_the_body(
    capsys: pytest.CaptureFixture[str], policy: str, tmp_path: Path, source: str
) -> None:
    """The body may stand on the command line or in a file."""
    body = tmp_path / "body"
    body.write_text('{"n": 7}')
    data = f"@{body}" if source == "file" else body.read_text()
    status, out, _ = run(
        capsys, "explain", "--policy", policy, "POST", "/chat",
        "-H", "Content-Type: application/json", "-d", data,
    )  # fmt: skip
    assert status == 0
    assert "chat" in out
    assert "7" in out


def test_explain_takes_the_product_that_run_would(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    """Flag over environment over policy: the key is a digest over it."""
    call = ("explain", "--policy", policy, "POST", "/chat")
    monkeypatch.delenv("PRODUCT_SLUG", raising=False)
    assert "product: acme-notes\n" in run(capsys, *call)[1]
    monkeypatch.setenv("PRODUCT_SLUG", "of-the-environment")
    assert "product: of-the-environment\n" in run(capsys, *call)[1]
    assert "product: of-the-flag\n" in run(capsys, *call, "--product", "of-the-flag")[1]
    status, _, err = run(capsys, *call, "--product", "no slug")
    assert status == 2
    assert "--product: 'no slug'" in err


def test_explain_without_a_body(capsys: pytest.CaptureFixture[str], policy: str) -> None:
    """Then the body is empty, and the default amount is charged."""
    status, out, _ = run(capsys, "explain", "--policy", policy, "POST", "/chat")
    assert status == 0
    assert "chat" in out


def test_explain_with_a_body_that_is_not_there(
    capsys: pytest.CaptureFixture[str], policy: str
) -> None:
    """A missing file is named."""
    status, _, err = run(
        capsys, "explain", "--policy", policy, "POST", "/chat", "-d", "@/nowhere/body"
    )
    assert status == 2
    assert "/nowhere/body" in err


def test_explain_takes_the_bytes_as_they_were_typed(
    capsys: pytest.CaptureFixture[str], policy: str
) -> None:
    """A body and a header that are no UTF-8 are read as the sidecar would read them."""
    odd = os.fsdecode(b"\xff")
    call = ("explain", "--policy", policy, "POST", "/chat", "-H", f"x: {odd}")
    status, out, err = run(capsys, *call, "-d", odd)
    assert (status, err) == (0, "")
    assert "not valid JSON in UTF-8" in out
    status, out, err = run(capsys, "explain", "--policy", policy, "GET", f"/{odd}")
    assert (status, err) == (0, "")
    assert "which must be encoded" in out


@pytest.mark.parametrize("header", ["nothing", ": value", "  : value"])
def test_explain_with_a_header_that_is_none(
    capsys: pytest.CaptureFixture[str], policy: str, header: str
) -> None:
    """A header is `Name: value`."""
    status, _, err = run(capsys, "explain", "--policy", policy, "GET", "/", "-H", header)
    assert status == 2
    assert "is not 'Name: value'" in err


@pytest.mark.parametrize(
    "argv", [("run",), ("demo", "--port", "0x1"), ("platform", "--listen", "8")]
)
def test_what_is_wrong_is_told_before_anything_starts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...]
) -> None:
    """No port is opened for a command line that cannot work."""
    for name in ("SIDECAR_POLICY", "SIDECAR_UPSTREAM", "PLATFORM_INTERNAL_KEY"):
        monkeypatch.delenv(name, raising=False)
    status, out, err = run(capsys, *argv)
    assert (status, out) == (2, "")
    assert all(line.startswith("bb-sidecar: ") for line in err.splitlines())


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` of each command names its flags and ends with 0."""
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    listed = capsys.readouterr().out
    for command in ("run", "demo", "platform", "token", "check", "explain", "health"):
        assert f"  {command} " in listed
        with pytest.raises(SystemExit) as ended:
            cli.main([command, "--help"])
        assert ended.value.code == 0
        assert f"bb-sidecar {command}" in capsys.readouterr().out


def test_every_command_has_what_runs_it() -> None:
    """A handler is named, and imported only when its command runs."""

    def handlers(parser: argparse.ArgumentParser) -> Iterator[str]:
        """Give the handlers of all commands below."""
        groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
        for group in groups:
            for each in group.choices.values():
                yield from handlers(each)
        if not groups:
            yield parser.get_default("handler")

    names = list(handlers(cli._parser()))
    assert len(names) == 24
    assert all(callable(cli.handler_of(name)) for name in names)


def test_several_problems_are_several_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    """A report of many problems stays one problem a line."""

    def wrong(*_: object) -> None:
        raise UserError("one\ntwo")

    monkeypatch.setattr("sidecar.commands.check.read_policy_file", wrong)
    assert run(capsys, "check", policy) == (2, "", "bb-sidecar: one\nbb-sidecar: two\n")
