"""Long work of many steps on the event loop: one slice of them a turn."""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterable
from typing import Final

from sidecar.domain.turns import turns

SLICE: Final = 100
"""Steps of one slice, such as the samples of a page: about 0.3 ms."""

_PIECE: Final = 16 * 1024
"""Bytes of one slice of packing: about 0.3 ms."""


async def in_slices(steps: Iterable[object]) -> None:
    """Run all `steps`, in turns with the other long work of this loop."""
    await turns().run(_sliced(steps))


def _sliced(steps: Iterable[object]) -> Generator[None, None, None]:
    for done, _ in enumerate(steps, 1):
        if done % SLICE == 0:
            yield


async def gzip_in_slices(page: bytes) -> bytes:
    """Return the page as gzip (RFC 1952), packed in turns with the other long work of this loop."""
    return await turns().run(_packed(page))


def _packed(page: bytes) -> Generator[None, None, bytes]:
    # Level 4 makes a fifteenth of a page; the usual 6 takes twice the time for a tenth less.
    packer = zlib.compressobj(4, wbits=16 + zlib.MAX_WBITS)
    packed = bytearray()
    for start in range(0, len(page), _PIECE):
        packed += packer.compress(page[start : start + _PIECE])
        yield
    packed += packer.flush()
    return bytes(packed)
