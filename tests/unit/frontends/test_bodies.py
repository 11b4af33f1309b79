"""A body that is read for an amount: within its bound and its time, and handed out again."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.domain.errors import NoRoomError
from sidecar.frontends.bodies import (
    BodyTooSlowError,
    HeldBody,
    announced_length,
)
from sidecar.proxy.body_memory import BodyMemory


class Source:
    """Pieces, and then silence."""

    def __init__(self, *pieces: bytes, ends: bool = True) -> None:
        self.pieces = list(pieces)
        self.ends = ends

    async def pull(self) -> tuple[bytes, bool]:
        if not self.pieces:
            await asyncio.Event().wait()
        piece = self.pieces.pop(0)
        return piece, bool(self.pieces) or not self.ends


def held(
    source: Source,
    memory: BodyMemory | None = None,
    *,
    length: int | None = None,
    idle: float | None = None,
    total: float | None = None,
) -> HeldBody:
    """Make a body."""
    return HeldBody(
        source.pull,
        memory or BodyMemory(),
        length=length,
        whole=False,
        idle_timeout=idle,
        total_timeout=total,
    )


def taken(body: HeldBody) -> list[bytes]:
    """Take all that is held."""
    pieces = []
    while (piece := body.take()) is not None:
        pieces.append(piece)
    return pieces


async def test_a_body_is_read_whole_and_handed_out_in_its_pieces() -> None:
    """The memory counts it until then."""
    memory = BodyMemory(100)
    body = held(Source(b"one", b"two"), memory)
    assert await body.read(10, "org") == b"onetwo"
    assert (memory.used, body.whole) == (6, True)
    assert taken(body) == [b"one", b"two"]
    assert memory.used == 0


async def test_a_body_over_its_bound_is_none_and_still_handed_out() -> None:
    """In shadow the call passes all the same."""
    body = held(Source(b"one", b"two", b"three"))
    assert await body.read(5) is None
    assert (taken(body), body.whole) == ([b"one", b"two"], False)


async def test_the_last_piece_over_the_bound_ends_the_body() -> None:
    """Nothing would come after it."""
    body = held(Source(b"one", b"two"))
    assert await body.read(5) is None
    assert (taken(body), body.whole) == ([b"one", b"two"], True)


async def test_a_body_that_announces_too_much_is_not_read() -> None:
    """Nothing of it is held."""
    body = held(Source(b"one"), length=11)
    assert await body.read(10) is None
    assert not body.held


@pytest.mark.parametrize("length", [None, 12])
async def test_a_body_without_room_is_refused(length: int | None) -> None:
    """Announced, before it is read; else when it has come."""
    memory = BodyMemory(10)
    body = held(Source(b"x" * 12), memory, length=length)
    with pytest.raises(NoRoomError):
        await body.read(100, "org")
    body.let_go()
    assert memory.used == 0


@pytest.mark.parametrize(("idle", "total"), [(0.01, None), (None, 0.01)])
async def test_a_body_that_is_late_is_given_up(idle: float | None, total: float | None) -> None:
    """Between two pieces, or as a whole."""
    body = held(Source(b"one", ends=False), idle=idle, total=total)
    with pytest.raises(BodyTooSlowError):
        await body.read(100)


@pytest.mark.parametrize(
    ("text", "length"), [(None, None), (b"12", 12), (b"-1", None), (b"9" * 19, None), (b"", None)]
)
def test_a_length_is_a_count(text: bytes | None, length: int | None) -> None:
    """Anything else says nothing."""
    assert announced_length(text) == length
