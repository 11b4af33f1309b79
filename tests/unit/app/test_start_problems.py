from __future__ import annotations

import argparse
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.admission.journal_file import JournalFile
from sidecar.admission.journal_records import FILE_HEAD
from sidecar.app.start_problems import start_problems
from sidecar.settings.run import add_run_arguments
from tests.fakes.command_line import policy_file


def problems(*flags: str, **environ: str) -> list[str]:
    """Find the problems of a command line."""
    parser = argparse.ArgumentParser()
    add_run_arguments(parser)
    free = ("--port", "0", "--admin", "127.0.0.1:0")
    return list(start_problems(parser.parse_args([*free, *flags]), environ))


@pytest.fixture
def taken() -> Iterator[str]:
    """A port that is in use."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield str(listener.getsockname()[1])


def test_a_good_start_has_no_problem(tmp_path: Path) -> None:
    """Nor is a file made."""
    flags = ("--policy", policy_file(tmp_path), "--journal", str(tmp_path / "new"))
    assert problems(*flags, "--redis", "redis://127.0.0.1:1") == []
    assert not (tmp_path / "new").exists()


def test_every_part_is_looked_at_whatever_is_wrong_with_the_others(taken: str) -> None:
    """Policy, each address, journal and Redis, beside settings that are wrong."""
    found = problems(
        "--upstream", "x", "--policy", "/nowhere/p.yaml", "--host", "127.0.0.1", "--port", taken,
        "--admin", "notahost.invalid:0", "--journal", "/nowhere/journal",
        "--redis", "rediss://h?ssl_ca_certs=/nowhere/ca.pem",
    )  # fmt: skip
    assert [each.partition(": ")[0] for each in found] == [
        "/nowhere/p.yaml", "--port", "--admin", "journal /nowhere/journal", "--redis",
    ]  # fmt: skip


def test_a_wrong_value_is_not_replaced_by_its_default() -> None:
    """The default port may be in use; that is no problem of this start."""
    assert problems("--port", "many", "--admin", "x") == []


def test_a_file_that_is_no_journal_is_named_and_left_alone(tmp_path: Path) -> None:
    """As the start does."""
    letter = tmp_path / "letter"
    letter.write_text("a letter")
    (found,) = problems("--journal", str(letter))
    assert "not a journal" in found
    assert letter.read_text() == "a letter"


def test_a_journal_that_another_process_holds_is_named(tmp_path: Path) -> None:
    """As the start does."""
    held = JournalFile(tmp_path / "journal")
    assert "another process holds it" in problems("--journal", str(tmp_path / "journal"))[0]
    held.close()
    assert problems("--journal", str(tmp_path / "journal")) == []


def test_a_damaged_journal_is_no_mistake_and_stays_as_it_is(tmp_path: Path) -> None:
    """The next start reports what is damaged in it."""
    path = tmp_path / "journal"
    damaged = FILE_HEAD + b"\xff" * 300
    path.write_bytes(damaged)
    assert problems("--journal", str(path)) == []
    assert path.read_bytes() == damaged


def test_a_misspelt_variable_is_named_beside_what_it_leaves_out(tmp_path: Path) -> None:
    """With the variable that was meant."""
    flags = ("--policy", policy_file(tmp_path))
    assert problems(*flags, SIDECAR_UPSTREM="http://127.0.0.1:1") == [
        "SIDECAR_UPSTREM: is no setting, and is ignored: did you mean SIDECAR_UPSTREAM?"
    ]
