"""Seeds and findings, played to their targets without a fuzzer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.targets import CORPUS, FINDINGS, TARGETS, inputs, load


@pytest.mark.parametrize("name", TARGETS)
def test_no_known_input_breaks_a_target(name: str) -> None:
    """What was once found stays fixed, and each seed is one that holds."""
    target = load(name)
    for path in inputs(name):
        try:
            target(path.read_bytes())
        except Exception as error:
            raise AssertionError(f"{path} breaks {name}") from error


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_has_seeds(name: str) -> None:
    """A fuzzer that starts from nothing finds little."""
    assert len(list((CORPUS / name).iterdir())) >= 5


def test_no_input_is_without_a_target() -> None:
    """A target that was renamed takes its inputs with it."""
    folders: list[Path] = [*CORPUS.iterdir(), *FINDINGS.iterdir()]
    assert {folder.name for folder in folders if folder.is_dir()} <= set(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_and_every_byte_are_taken(name: str) -> None:
    """A target reads any bytes at all."""
    target = load(name)
    for data in (b"", bytes(range(256)), b"\n" * 50, b"\r\n" * 50):
        target(data)
