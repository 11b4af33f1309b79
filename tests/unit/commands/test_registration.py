from __future__ import annotations

import subprocess
import sys

import pytest

from sidecar.cli import main
from sidecar.commands.running import ACTS, DOCTOR

COMMANDS = [
    ("quota", "status"), ("quota", "breakdown"), ("quota", "consume"), ("records", "publish"),
    ("records", "list"), ("catalog",), ("search",), ("webhooks", "register"), ("webhooks", "test"),
    ("webhooks", "deliveries"), ("requests",), ("doctor",),
]  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_its_help(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """With --json, and where the keys come from."""
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    assert "--json" in text
    assert "PLATFORM_INTERNAL_KEY" in text
    assert "BIZBASICS_API_KEY" in text


def test_there_is_a_command_for_each_act() -> None:
    """None can be done that nobody can ask for."""
    assert len(COMMANDS) == len({*ACTS, DOCTOR})


@pytest.mark.parametrize(
    "words",
    [
        ("quota",),
        ("quota", "spend"),
        ("catalog", "--key", "bbas_secret_0123"),
        ("webhooks", "test"),
        ("webhooks", "test", ""),
        ("webhooks", "test", ".."),
    ],
)
def test_a_mistake_is_one_line(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2; a key that was given where none belongs is not repeated."""
    assert main(words) == 2
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1
    assert "secret_0123" not in told


@pytest.mark.parametrize("amount", ["0", "-1", "1.5", "²", "", "9" * 20])
def test_an_amount_that_is_none(amount: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Told before anything is sent."""
    assert main(["quota", "consume", "--org", "o", f"--amount={amount}"]) == 2
    assert "is not a whole number from 1" in capsys.readouterr().err


def test_other_commands_do_not_pay_for_these() -> None:
    """`bb-sidecar check` in a build step loads no client and no tables."""
    code = (
        "import sys; from sidecar.cli import main; main(['check', '/dev/null']);"
        "print([m for m in ('aiohttp', 'rich') if m in sys.modules])"
    )
    ran = subprocess.run(  # noqa: S603 - our own interpreter and our own code
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert ran.stdout.splitlines()[-1] == "[]"
