"""The targets by name: functions that take bytes, and raise where a promise is broken."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final

Target = Callable[[bytes], None]

FOLDER: Final = Path(__file__).parent
CORPUS: Final = FOLDER / "corpus"
FINDINGS: Final = FOLDER / "findings"

TARGETS: Final = {
    "request_head": "wire",
    "answer_head": "wire",
    "chunked_body": "wire",
    "exchange": "wire",
    "token": "callers",
    "claims": "callers",
    "credentials": "callers",
    "path": "rules",
    "policy": "rules",
    "amount": "rules",
    "consume_answer": "platform",
    "refusal": "platform",
}
"""Each target, and the module here that has it, imported only when it is wanted."""


def load(name: str) -> Target:
    """Return a target; KeyError names one that there is not."""
    module = import_module(f"tests.fuzz.{TARGETS[name]}")
    target: Target = getattr(module, name)
    return target


def inputs(name: str) -> list[Path]:
    """Return the seeds and findings of a target."""
    return sorted(
        path
        for folder in (CORPUS / name, FINDINGS / name)
        if folder.is_dir()
        for path in folder.iterdir()
    )
