"""Do what the README says: `make demo` with the lines that it prints, then the path by hand.

Fails unless one answer of the demo carries RateLimit headers, one is charged by its tokens, one is
a stream of events, one is a 429 problem with its reset time, the metrics agree with what the
platform counted, and the demo ends on an interrupt. Fails also unless the commands of "In front of
your own product", pasted into a shell in an empty folder, end in one 401, three answers of the
product and one 429.
"""
# ruff: noqa: INP001, S603, S607 - a script, which runs what the README tells its readers to run

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PATIENCE: Final = 120.0  # seconds until the demo has printed its lines, installing included
PASTED: Final = 6  # three calls, the metrics, what the platform counted, a call by tokens
EXPORT: Final = re.compile(r"^ *(export \w+=\S+)$", re.MULTILINE)
CURL: Final = re.compile(r"^[ \t$]*(curl .*?(?:\\\n.*?)*)[ \t]*$", re.MULTILINE)
WANTED: Final = {
    "an allowed call with RateLimit headers": r"HTTP/1\.1 200.*?\nRateLimit: ",
    "a stream of events": r"\ndata: .*?\ndata: ",
    "a call that named its tokens": r"\"completion_tokens\": ?9",
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
    """Return the units that calls cost, by the metrics, and those that were counted."""
    let_through = re.findall(
        r"^bb_sidecar_(?:units_total\{|settled_units_total\{.*outcome=\"counted\").*\} (\d+)",
        answers,
        re.MULTILINE,
    )
    counted = re.findall(r"\"amount\": ?(\d+)[^{}]*\"at\"", answers)
    return sum(map(int, let_through)), sum(map(int, counted))


def pasted_by_hand() -> str:
    """Return the README's commands for a product of one's own, without those of containers."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("## In front of your own product")[2].partition("**As a container**")[
        0
    ]
    blocks = "".join(re.findall(r"^```bash\n(.*?)^```", section, re.MULTILINE | re.DOTALL))
    return re.sub(r"^docker .*\n", "", blocks, flags=re.MULTILINE)


def free_ports(count: int) -> list[int]:
    """Return ports that are free now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def by_hand() -> None:
    """Paste the README's commands, with free ports; exit when the answers are others."""
    platform, product, sidecar, admin = free_ports(4)
    new = {
        "~/bb-sidecar-env": "./env",
        "pip install .": f"pip install --quiet {ROOT}",
        "bb-sidecar platform": f"bb-sidecar platform --listen 127.0.0.1:{platform}",
        "bb-sidecar token": f"bb-sidecar token --platform http://127.0.0.1:{platform}",
        "127.0.0.1:8092": f"127.0.0.1:{platform}",
        "--port 8000": f"--port {product}",
        "127.0.0.1:8000": f"127.0.0.1:{product}",
        "127.0.0.1:8080": f"127.0.0.1:{sidecar}",
        "127.0.0.1:9901": f"127.0.0.1:{admin}",
    }
    commands = pasted_by_hand()
    if gone := [old for old in new if old not in commands]:
        sys.exit(f"quick start: not in the README's commands any more: {', '.join(gone)}")
    commands = re.sub("|".join(map(re.escape, new)), lambda found: new[found[0]], commands)
    commands = f"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{commands}"
    with tempfile.TemporaryDirectory(prefix="bb-quick-start-") as folder:
        ran = subprocess.run(
            ["bash", "-e", "-m", "-c", commands],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            cwd=folder,
            env=os.environ
            | {
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "PORT": str(sidecar),
                "SIDECAR_ADMIN": f"127.0.0.1:{admin}",
            },
        )
    sys.stdout.write(ran.stdout)
    if ran.returncode:
        sys.exit(f"quick start: by hand: exit status {ran.returncode}: {ran.stderr}")
    told = re.findall(r"HTTP/1\.1 (\d+)", ran.stdout)
    if told != ["401", "200", "200", "200", "429"]:
        sys.exit(f"quick start: by hand: answered {told}")


def demo() -> None:
    """Run the demo, paste its lines, interrupt it."""
    running = subprocess.Popen(
        ["make", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    )
    try:
        answers = "".join(paste(line) for line in curl_lines(running))
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
        os.killpg(running.pid, signal.SIGINT)
        running.wait(timeout=15)
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)


def main() -> None:
    """Run both ways."""
    demo()
    by_hand()
    sys.stdout.write("quick start: as the README says\n")


if __name__ == "__main__":
    main()
