"""A command line that runs in this process, and a policy file for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar import cli

POLICY = """
version: 1
product: acme-notes
identity: [{cookie: bb_at}]
routes:
  - name: chat
    match: {path: /chat, methods: [GET, POST]}
    meter: {amount: {json: /n, default: 1, max: 16}}
unmatched: allow
"""


def policy_file(folder: Path) -> str:
    """Write a policy; return its path."""
    path = folder / "policy.yaml"
    path.write_text(POLICY)
    return str(path)


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    """Run a command line; return status, stdout and stderr."""
    capsys.readouterr()
    status = cli.main(argv)
    out, err = capsys.readouterr()
    return status, out, err
