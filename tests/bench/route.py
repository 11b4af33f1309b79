"""Print the route of one metered call through the sidecar: each Python call, part by part.

`python -m tests.bench.route` runs the whole chain in this process, warms it up, and traces one
exact call on a kept connection. What is counted: functions of `sidecar` entered, and moves from
one file to another. The platform, the product and the client are not counted.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Final

import uvloop

import sidecar
from sidecar.proxy.untrusted import REQUESTS_SEARCHED
from tests.e2e.harness import CHAT, ORG, stack

PACKAGE: Final = str(Path(sidecar.__file__).parent) + "/"
APART: Final = ("local_platform/", "demo/", "app/background", "admin/")
"""What shares the process here and is no part of a call's route."""

TIMERS: Final = frozenset({"LoopWatch._tick", "Server._sweep", "Pool._sweep", "Reporter.run"})
"""What runs now and then, whatever the calls."""

TRACED: Final = 8
WARM: Final = REQUESTS_SEARCHED + 20
"""Calls before the one that is traced: what only the first ones go through is no part of it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One function that was entered, and how deep in the package's own calls."""

    file: str
    function: str
    depth: int


def moves(route: list[Step]) -> int:
    """Count the changes of file along the route."""
    return sum(before.file != step.file for before, step in pairwise(route))


def traced(route: list[Step]) -> Callable[[FrameType, str, object], None]:
    """Return a profiler that adds each function of the package that is entered."""

    def profile(frame: FrameType, event: str, argument: object) -> None:
        name = frame.f_code.co_filename
        if event != "call" or not name.startswith(PACKAGE):
            return
        file = name[len(PACKAGE) :]
        if file.startswith(APART):
            return
        depth = -1
        back: FrameType | None = frame
        while back is not None:
            if back.f_code.co_qualname in TIMERS:
                return
            caller = back.f_code.co_filename
            if caller.startswith(PACKAGE) and caller[len(PACKAGE) :].startswith(APART):
                return  # also what the platform here calls of the parts it shares
            depth += caller.startswith(PACKAGE)
            back = back.f_back
        route.append(Step(file, frame.f_code.co_qualname, depth))

    return profile


async def route_of_one_call() -> list[Step]:
    """Trace some calls on a connection that was used before; return the shortest route.

    What only some of them do, as new lines are learnt each second, is no part of it.
    """
    routes: list[list[Step]] = []
    async with stack(orgs={ORG: 1_000_000}) as chain:
        host, port = chain.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        body = b'{"message":"hello"}'
        request = (
            f"POST {CHAT} HTTP/1.1\r\nHost: {host}\r\nCookie: bb_at={chain.token()}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body
        for turn in range(WARM + TRACED):
            if turn >= WARM:
                sys.setprofile(None)
                await asyncio.sleep(0.05)
                routes.append([])
                sys.setprofile(traced(routes[-1]))
            writer.write(request)
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 200 " in head, head
            lengths = [
                line for line in head.lower().split(b"\r\n") if line.startswith(b"content-le")
            ]
            await reader.readexactly(int(lengths[0].split(b":")[1]))
        await asyncio.sleep(0.01)
        sys.setprofile(None)
        writer.close()
    return min(routes, key=len)


def report(route: list[Step]) -> str:
    """Write the route: a line a call, indented, with its file where that changes."""
    lines, before = [], ""
    for step in route:
        lines.append(
            f"{step.file if step.file != before else '':34}{'  ' * step.depth}{step.function}"
        )
        before = step.file
    parts = Counter(step.file.split("/")[0] for step in route)
    spread = ", ".join(f"{part} {count}" for part, count in parts.most_common())
    files = len({step.file for step in route})
    lines += [
        "",
        f"{len(route)} calls in {files} files, {moves(route)} moves between files",
        spread,
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(report(uvloop.run(route_of_one_call())))
