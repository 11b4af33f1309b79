"""A body that came within a message."""

from __future__ import annotations

import pytest

from sidecar.frontends.envoy.sent_body import sent_body
from sidecar.proxy.body_memory import BodyMemory


@pytest.mark.parametrize(
    ("content", "partial", "found"),
    [(b"{}", False, b"{}"), (b"{}x", False, None), (b"", False, b""), (b"{", True, None)],
)
async def test_a_body_is_read_within_the_limit(
    content: bytes, found: bytes | None, *, partial: bool
) -> None:
    """A part of one is none; what was read is counted until it is let go."""
    body = sent_body(content, memory := BodyMemory(), partial=partial)
    assert await body.read(2) == found
    assert memory.used == len(found or b"")
    body.let_go()
    assert memory.used == 0
