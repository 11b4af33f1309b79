"""The guard of `Permit`: only the verdict table makes one (architecture, Rules that hold, 1)."""

from __future__ import annotations

import ast
from pathlib import Path

import sidecar

PACKAGE = Path(sidecar.__file__).parent


def _makes_a_permit(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = node.func
    return (isinstance(name, ast.Name) and name.id == "Permit") or (
        isinstance(name, ast.Attribute) and name.attr == "Permit"
    )


def test_only_the_verdict_table_makes_a_permit() -> None:
    """Whoever else constructed one could forward what nobody decided."""
    makers = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if _makes_a_permit(node)
    }
    assert makers == {"admission/verdict.py"}


def test_nobody_alters_or_renames_a_permit() -> None:
    """`dataclasses.replace(permit, ...)` or an alias would be a second mint."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert not any(a.name == "Permit" and a.asname for a in node.names), path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                replaced = node.func.id == "replace" and node.args
                if replaced and isinstance(node.args[0], ast.Name):
                    assert node.args[0].id != "permit", path
