"""Every Python that runs the sidecar decides alike on every path.

The regular expressions of Python 3.11.0 to 3.11.4 match some possessive quantifiers wrongly, and
3.11.2 is what Debian 12 has: the same vectors run on each interpreter that is here.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.unit.policy import path_vectors
from tests.unit.policy.path_vectors import DECISIONS

ROOT: Final = Path(__file__).parents[3]
SCRIPT: Final = Path(path_vectors.__file__)
DEBIAN_12: Final = Path("/usr/bin/python3.11")


@cache
def interpreters() -> list[str]:
    """Return every interpreter here that `requires-python` admits, this one included.

    Not a parameter: the search takes seconds, and each test process would do it.
    """
    found = subprocess.run(  # noqa: S603  a script of this repository
        [ROOT / ".ci/find-python", "--every"], capture_output=True, text=True, check=True
    )
    return sorted({sys.executable, *found.stdout.split("\n")} - {""})


def test_each_python_decides_alike() -> None:
    """The vectors, on bare interpreters: no package but the standard library."""
    found = {}
    for interpreter in interpreters():
        ran = subprocess.run(  # noqa: S603  an interpreter of this machine
            [interpreter, "-S", SCRIPT],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        version, decisions = json.loads(ran.stdout)
        found[interpreter, *version] = decisions
    assert found == dict.fromkeys(found, DECISIONS)


def test_debian_12_is_among_them() -> None:
    """Where this is Debian 12, its own Python has run: `make packages` installs it.

    Elsewhere the oldest is what the machine has: that Python is in no other distribution.
    """
    version = Path("/etc/debian_version")
    if version.is_file() and version.read_text().startswith("12"):
        assert DEBIAN_12.is_file(), "apt-get install python3.11"
        assert str(DEBIAN_12) in interpreters()


def test_this_python_decides_as_written() -> None:
    """Without a process of its own, so that a debugger can follow."""
    assert path_vectors.decisions() == DECISIONS


def quantifiers(parsed: object) -> Iterator[str]:
    """Give the name of each operation in a parsed regular expression."""
    if isinstance(parsed, tuple | list):
        for each in parsed:
            yield from quantifiers(each)
    elif type(parsed).__name__ == "SubPattern":
        yield from quantifiers(parsed.data)  # type: ignore[attr-defined]
    elif type(parsed).__name__ == "_NamedIntConstant":
        yield str(parsed)


def expressions(path: Path) -> Iterator[tuple[int, str]]:
    """Give each text in a module that goes to `re`, with its line; a variable counts as `x`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "re"
        ):
            continue
        for argument in node.args[:1]:
            text = written(argument)
            if text is not None:
                yield node.lineno, text


def written(node: ast.expr) -> str | None:
    """Return a literal text, an f-string's or a sum's."""
    if isinstance(node, ast.Constant):
        value: Any = node.value
        return value.decode("latin-1") if isinstance(value, bytes) else value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values
        )
    if isinstance(node, ast.BinOp):
        return (written(node.left) or "x") + (written(node.right) or "x")
    return None


def test_no_expression_is_possessive_or_atomic() -> None:
    """Python 3.11.0 to 3.11.4 matches such groups wrongly, and the tests run on later ones too."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((ROOT / "sidecar").rglob("*.py"))
        for line, text in expressions(path)
        if {"POSSESSIVE_REPEAT", "ATOMIC_GROUP"} & set(quantifiers(parsed(text)))
    ]
    assert wrong == []


def test_the_rule_finds_what_it_looks_for() -> None:
    """A rule that finds nothing proves nothing."""
    assert "POSSESSIVE_REPEAT" in set(quantifiers(parsed("(?:/[a-z]*[a-z])++")))
    assert "ATOMIC_GROUP" in set(quantifiers(parsed("(?>a|b)c")))
    assert len(list(expressions(ROOT / "sidecar/policy/paths.py"))) > 1


def parsed(text: str) -> object:
    """Return what `re` makes of an expression."""
    parser: Any = vars(re)["_parser"]
    return parser.parse(text)
