"""Parts of an answer as an application sends them: of any length, so they are read in slices."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from sidecar.domain.turns import turns
from sidecar.frontends.door import Visit
from sidecar.usage.settled_answer import SettledAnswer

AT_ONCE: Final = 16 * 1024
"""Bytes of a part that are read without a turn: some 0.2 ms."""

SLICE: Final = 8 * 1024


async def read_part(visit: Visit, settled: SettledAnswer, data: bytes, *, last: bool) -> bytes:
    """Read a part of a visit's answer; return what goes to the client."""
    if len(data) <= AT_ONCE:
        return settled.end(data) if last else settled.feed(data)
    identity = visit.decision.identity
    holder = "" if identity is None else identity.org_id
    return await turns().run(_in_slices(settled, data, last=last), holder)


def _in_slices(settled: SettledAnswer, data: bytes, *, last: bool) -> Generator[None, None, bytes]:
    passed = []
    for start in range(0, len(data), SLICE):
        if start:
            yield
        passed.append(settled.feed(data[start : start + SLICE]))
    if last:
        passed.append(settled.end(b""))
    return b"".join(passed)
