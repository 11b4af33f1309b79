"""Run the targets in turn, each in a process of its own; status 1 when one was broken."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from typing import Final

from tests.fuzz.targets import CORPUS, FINDINGS, FOLDER, TARGETS

_LONGEST_INPUT: Final = 4096
_SECONDS_FOR_ONE_INPUT: Final = 10
_GRACE: Final = 60
"""Seconds beyond its time after which a target counts as hanging."""


def main() -> int:
    """Fuzz as the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for all targets together")
    parser.add_argument("targets", nargs="*", metavar="target", help=", ".join(TARGETS))
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.targets) - set(TARGETS))
    if unknown:
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    if find_spec("atheris") is None:
        parser.error("atheris is missing: `pip install --group fuzz` into this environment")
    names = arguments.targets or list(TARGETS)
    seconds = max(1, arguments.seconds // len(names))
    broken = [name for name in names if not fuzz(name, seconds)]
    if broken:
        print(f"broken: {', '.join(broken)}; the inputs are in {FINDINGS}")
    return 1 if broken else 0


def fuzz(name: str, seconds: int) -> bool:
    """Fuzz one target; its finding, if there is one, is kept. True when it held."""
    findings = FINDINGS / name
    findings.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as grown:
        command = [
            sys.executable, "-m", "tests.fuzz.child", name,
            f"-max_total_time={seconds}", f"-max_len={_LONGEST_INPUT}",
            f"-timeout={_SECONDS_FOR_ONE_INPUT}", f"-artifact_prefix={findings}/",
            "-rss_limit_mb=2048", "-print_final_stats=1", grown, str(CORPUS / name),
        ]  # fmt: skip
        held, told = _run(command, seconds + _GRACE)
    if not any(findings.iterdir()):
        findings.rmdir()
    runs = [line.split()[-1] for line in told.splitlines() if "number_of_executed_units" in line]
    print(f"{name}: {'held' if held else 'BROKEN'} after {runs[-1] if runs else '?'} inputs")
    if not held:
        print(told[-8000:])
    return held


def _run(command: list[str], limit: int) -> tuple[bool, str]:
    try:
        done = subprocess.run(
            command,
            cwd=FOLDER.parent.parent,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=limit,
        )
    except subprocess.TimeoutExpired as late:
        return False, f"did not end in {limit} s\n" + (late.stdout or b"").decode(errors="replace")
    return done.returncode == 0, done.stdout.decode(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
