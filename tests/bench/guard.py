"""A guard against decay: the instructions of each kind of call, now and at the merge base.

`python -m tests.bench.guard [BASE]` runs both under callgrind in turns, and fails where a kind of
call takes over 3 % more instructions than before. Instructions are counted and not time: they are
the same beside other work on the machine, but for the timers that fall between the calls, which is
why the least of many short counts is compared. Most of the time goes to the starts under valgrind:
each start is counted several times, and makes all kinds of call of its policy.
"""

from __future__ import annotations

import compileall
import contextlib
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from itertools import repeat
from pathlib import Path
from typing import Final

from tests.bench import peers, stubs
from tests.bench.event_product import EventProduct
from tests.bench.processes import SYSTEM_CORE, free_port, running
from tests.bench.work import DISTINCT as DISTINCT_CALLS
from tests.bench.work import KEY, OPENAI_PATH, Work, make_work

CALLS: Final = 100
COUNTS: Final = 4
WARM: Final = 200
ROUNDS: Final = 2
MOST: Final = 1.03
FORWARD_AUTH: Final = "forward_auth"
"""An exact call that is asked about, as Traefik asks: the program forwards it by itself."""

DISTINCT: Final = "distinct"
"""Exact calls of 100 orgs, each with a request ID and a prompt of its own."""

KINDS: Final = (
    ("exact", DISTINCT), ("unmetered",), ("settled",), ("owed",), ("exact_stream",),
    ("settled_stream",), (FORWARD_AUTH,),
)  # fmt: skip
"""The kinds of call, those of one policy together."""
NEEDS: Final = {
    **dict.fromkeys(("settled", "owed", "settled_stream"), "usage"),
    FORWARD_AUTH: "frontends/forward_auth.py",
}
"""What the package must have for a kind."""

STREAMS: Final = 6
"""Answers in events of one count; the others are `CALLS`."""

ROOT: Final = Path(__file__).parents[2]


def git(*arguments: str) -> bytes:
    """Run git here and return what it prints."""
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True).stdout


def base_of_head() -> str | None:
    """Return the commit to compare with: the merge base with the origin, else the parent.

    None in a clone that has neither.
    """
    head = git("rev-parse", "HEAD").decode().strip()
    with contextlib.suppress(subprocess.CalledProcessError):
        base = git("merge-base", "HEAD", "origin/HEAD").decode().strip()
        if base != head:
            return base
    with contextlib.suppress(subprocess.CalledProcessError):
        return git("rev-parse", "--verify", "--quiet", "HEAD~1").decode().strip()
    return None


def call(client: socket.socket, request: bytes) -> None:
    """Make one call and read its whole answer."""
    client.sendall(request)
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    if not head.startswith(b"HTTP/1.1 200 ") or length is None:
        raise RuntimeError(f"the call was not answered with 200 and a length: {head[:300]!r}")
    while len(body) < int(length[1]):
        body += client.recv(65536)


def instructions(
    sources: Path, kinds: Sequence[str], work: Work, behind: stubs.Stubs, folder: Path
) -> dict[str, float]:
    """Return the least instructions of a call of each kind, by the package in `sources`."""
    first = kinds[0]
    product = EventProduct() if first.endswith("_stream") else None
    policy, counted, port = folder / "policy.yaml", folder / "callgrind.out", free_port()
    asked = first == FORWARD_AUTH
    upstream = product.url if product else behind.upstream_url
    policy.write_text(peers.policy("exact" if asked else first))
    proxy = ["run", "--upstream", upstream, "--host", "127.0.0.1", "--port", str(port)]
    command: list[str | Path] = [
        "valgrind", "-q", "--tool=callgrind", "--instr-atstart=no",
        f"--callgrind-out-file={counted}", sys.executable, "-m", "sidecar",
        *(["authz", "--http", f"127.0.0.1:{port}"] if asked else proxy),
        "--policy", policy, "--admin", "127.0.0.1:0", "--platform-url", behind.platform_url,
        "--auth-url", behind.platform_url, "--log-level", "error",
    ]  # fmt: skip
    environment = {
        "PLATFORM_INTERNAL_KEY": KEY,
        "PYTHONPATH": str(sources),
        "PYTHONSAFEPATH": "1",
        "PYTHONHASHSEED": "0",
    }
    request = work.question() if asked else work.raw_request()
    if product is not None:
        streaming = replace(work, body=work.body[:-1] + b',"stream":true}')
        request = streaming.raw_request(OPENAI_PATH)
    make, calls, warm = (product.call, STREAMS, WARM // 20) if product else (call, CALLS, WARM)
    log = folder / "sidecar.log"
    least = {}
    with (
        contextlib.closing(product) if product else contextlib.nullcontext(),
        running(command, core=SYSTEM_CORE, port=port, log=log, env=environment) as process,
        socket.create_connection(("127.0.0.1", port), timeout=30) as client,
    ):
        for kind in kinds:
            requests = work.distinct_requests() if kind == DISTINCT else repeat(request)
            for _ in range(warm):
                make(client, next(requests))
            _control(process.pid, "-i", "on")
            for _ in range(COUNTS):
                for _ in range(calls):
                    make(client, next(requests))
                _control(process.pid, "--dump")  # and begin at zero
            _control(process.pid, "-i", "off")
            found = list(_totals(folder.glob(f"{counted.name}.*")))
            if len(found) != COUNTS:
                raise RuntimeError(f"callgrind counted {found}: {log.read_text()[-500:]}")
            least[kind] = min(found) / calls
    counted.unlink(missing_ok=True)  # what it writes at its end
    return least


def _totals(dumps: Iterable[Path]) -> Iterator[int]:
    """Take the total of each dump out of the folder."""
    for dump in dumps:
        for total in re.findall(r"(?m)^totals: (\d+)", dump.read_text()):
            yield int(total)
        dump.unlink()


def _control(pid: int, *words: str) -> None:
    subprocess.run(["callgrind_control", *words, str(pid)], check=True, capture_output=True)


def costs_of_settling(least: dict[str, float]) -> Iterator[str]:
    """Say what settling by usage adds to a call and to an event, and what it owes in a consume."""
    exact, settled = least["exact"], least["settled"]
    yield f"a settled call that owes nothing takes {settled / exact:.2f} of an exact one"
    yield f"a settled call that owes takes {least['owed'] / exact:.2f}, its second consume included"
    event = (least["settled_stream"] - settled) / (least["exact_stream"] - exact)
    yield f"an event of a settled stream takes {event:.2f} of one of an exact stream"


def main() -> int:
    """Compare, print a line for each kind of call, and return 1 where one has grown too much."""
    base = sys.argv[1] if len(sys.argv) > 1 else base_of_head()
    missing = [each for each in ("valgrind", "nginx", "taskset") if shutil.which(each) is None]
    if base is None or missing:
        why = (
            f"{', '.join(missing)} not installed" if missing else "no earlier commit in this clone"
        )
        print(f"nothing was compared: {why}")
        return 0
    if not git("diff", "--name-only", base, "--", "sidecar"):
        print(f"nothing was compared: sidecar/ is as at {base[:10]}, so a call takes as many")
        return 0
    grown = False
    least: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        old = folder / "base"
        with tarfile.open(fileobj=BytesIO(git("archive", base, "sidecar"))) as archive:
            archive.extractall(old, filter="data")
        compileall.compile_dir(old, quiet=1)  # else the first start does, under valgrind
        behind = stubs.reserve()
        work = make_work(behind.platform_url, DISTINCT_CALLS.orgs)
        with stubs.started(behind, work, folder):
            for kinds in KINDS:
                knows = (old / "sidecar" / NEEDS.get(kinds[0], "")).exists()
                before, now = [], []
                for _ in range(ROUNDS):
                    if knows:
                        before.append(instructions(old, kinds, work, behind, folder))
                    now.append(instructions(ROOT, kinds, work, behind, folder))
                for kind in kinds:
                    least[kind] = min(each[kind] for each in now)
                    found = f"{kind}: {least[kind]:,.0f} instructions a call"
                    if before:
                        was = min(each[kind] for each in before)
                        grown = grown or least[kind] / was > MOST
                        found += f", {was:,.0f} at {base[:10]}: {least[kind] / was:.3f}"
                    print(found, flush=True)
    for line in costs_of_settling(least):
        print(line)
    return int(grown)


if __name__ == "__main__":
    sys.exit(main())
