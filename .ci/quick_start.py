"""Do what the README's quick start says: `make demo`, then paste the curl lines that it prints.

Fails unless one answer carries RateLimit headers, one is a stream of events, one is a 429 problem
with its reset time, the metrics agree with what the platform counted, and the demo ends on an
interrupt.
"""
# ruff: noqa: INP001, S603, S607 - a script, which runs what the README tells its readers to run

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from typing import Final

PATIENCE: Final = 120.0  # seconds until the demo has printed its lines, installing included
PASTED: Final = 5  # three calls, the metrics, what the platform counted
EXPORT: Final = re.compile(r"^ *(export \w+=\S+)$", re.MULTILINE)
CURL: Final = re.compile(r"^[ \t$]*(curl .*?(?:\\\n.*?)*)[ \t]*$", re.MULTILINE)
WANTED: Final = {
    "an allowed call with RateLimit headers": r"HTTP/1\.1 200.*?\nRateLimit: ",
    "a stream of events": r"\ndata: .*?\ndata: ",
    "a 429 problem": r"HTTP/1\.1 429.*?\"reason\": ?\"over_quota\"",
    "the time when the quota is reset": r"\"reset_at\": ?\"\d{4}-",
}


def copy(lines: Iterable[str], printed: list[str]) -> None:
    """Show what the demo prints and keep it."""
    for line in lines:
        sys.stdout.write(f"  | {line}")
        sys.stdout.flush()
        printed.append(line)


def curl_lines(demo: subprocess.Popen[str]) -> list[str]:
    """Return the first curl lines that the demo prints, each after its variables; exit without."""
    printed: list[str] = []
    threading.Thread(target=copy, args=(demo.stdout or (), printed), daemon=True).start()
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        text = "".join(printed)
        found = [match[1] for match in CURL.finditer(text)]
        if len(found) >= PASTED and not printed[-1].endswith("\\\n"):
            tokens = "".join(f"{line}; " for line in EXPORT.findall(text))
            return [tokens + line for line in found[:PASTED]]
        if demo.poll() is not None:
            sys.exit(f"quick start: make demo ended by itself, status {demo.returncode}")
        time.sleep(0.1)
    sys.exit(f"quick start: no {PASTED} curl lines within {PATIENCE:.0f} s")


def paste(line: str) -> str:
    """Run a line in a shell; return it with what it printed."""
    pasted = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, timeout=30, check=False
    )
    if pasted.returncode:
        sys.exit(f"quick start: {line}: exit status {pasted.returncode}: {pasted.stderr}")
    return f"$ {line}\n{pasted.stdout}\n".replace("\r", "")


def units(answers: str) -> tuple[int, int]:
    """Return the units that were let through, by the metrics, and those that were counted."""
    let_through = re.findall(r"^bb_sidecar_units_total\{.*\} (\d+)", answers, re.MULTILINE)
    counted = re.findall(r"\"amount\": ?(\d+)[^{}]*\"at\"", answers)
    return sum(map(int, let_through)), sum(map(int, counted))


def main() -> None:
    """Run the demo, paste its lines, interrupt it."""
    demo = subprocess.Popen(
        ["make", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    )
    try:
        answers = "".join(paste(line) for line in curl_lines(demo))
        sys.stdout.write(answers)
        missing = [
            name
            for name, pattern in WANTED.items()
            if not re.search(pattern, answers, re.DOTALL | re.IGNORECASE)
        ]
        if missing:
            sys.exit(f"quick start: not seen: {'; '.join(missing)}")
        let_through, counted = units(answers)
        if not let_through == counted > 0:
            sys.exit(f"quick start: {let_through} units let through, {counted} counted")
        os.killpg(demo.pid, signal.SIGINT)
        demo.wait(timeout=15)
    finally:
        if demo.poll() is None:
            os.killpg(demo.pid, signal.SIGKILL)
    sys.stdout.write("quick start: as the README says\n")


if __name__ == "__main__":
    main()
