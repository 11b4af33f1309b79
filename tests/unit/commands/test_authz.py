"""The packages of the extra `envoy` are for `--grpc` alone."""

from __future__ import annotations

import subprocess
import sys

from tests.test_house import PACKAGE, imported_modules, name_of, sources

WITHOUT = """
import sys
for name in ("envoy", "google", "grpc", "grpc_health"):
    sys.modules[name] = None
import sidecar.commands.authz
from sidecar.cli import main
sys.argv = ["bb-sidecar", *sys.argv[1:]]
raise SystemExit(main())
"""
FOREIGN = {"envoy", "google", "grpc", "grpc_health"}


def test_nothing_else_imports_them() -> None:
    """But the folder that is imported where it is needed, within a function."""
    importers = {
        name_of(path).rpartition("/")[0]
        for path in sources()
        if FOREIGN & {module.split(".")[0] for module in imported_modules(path)}
    }
    assert importers == {"frontends/envoy"}
    outside = {
        name_of(path)
        for path in sources()
        if path.parent != PACKAGE / "frontends" / "envoy"
        and any(module.startswith("sidecar.frontends.envoy") for module in imported_modules(path))
    }
    assert outside == {"commands/authz.py"}


def test_without_them_the_extra_is_named() -> None:
    """One line, before anything starts; the command itself is imported without them."""
    words = ("authz", "--policy", "/none.yaml", "--grpc", "127.0.0.1:0")
    ran = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", WITHOUT, *words],
        env={"PLATFORM_INTERNAL_KEY": "bbas_x0123456789"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert ran.stderr.splitlines() == [
        "bb-sidecar: --grpc: the package grpc is missing: pip install 'bizbasics-sidecar[envoy]'"
    ]
