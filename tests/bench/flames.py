"""Where the time of a request goes: a flame graph of the sidecar under load, by py-spy."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.bench import stubs as stub
from tests.bench.load import run_wrk
from tests.bench.peers import run_sidecar
from tests.bench.work import PATH, make_work

_TITLE: Final = re.compile(r'(<text id="title"[^>]*>)[^<]*')


def draw(folder: Path, out: Path, *, seconds: int) -> None:
    """Write `flames.svg` of exact mode into `out`; say so where py-spy is missing."""
    spy = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if spy is None:
        print("bench: left out: flame graph: needs py-spy (PyPI)", file=sys.stderr)
        return
    ports = stub.reserve()
    work = make_work(ports.issuer)
    out.mkdir(parents=True, exist_ok=True)
    with stub.started(ports, work, folder), run_sidecar("exact", ports, folder) as running:
        script = work.wrk_script(folder, {})
        url = f"http://127.0.0.1:{running.port}{PATH}"
        run_wrk(url, script, connections=32, seconds=1)
        with subprocess.Popen(
            [spy, "record", "--pid", str(running.pid), "--rate", "500", "--duration", str(seconds),
             "--function", "--format", "flamegraph", "--output", str(out / "flames.svg")],
            stdout=subprocess.DEVNULL,
        ) as recording:  # fmt: skip
            run_wrk(url, script, connections=32, seconds=seconds + 1)
            recording.wait(60)
    picture = out / "flames.svg"
    # py-spy heads it with its own command line, which says more of the machine than of the picture.
    picture.write_text(_TITLE.sub(r"\1bb-sidecar, exact mode", picture.read_text()))
