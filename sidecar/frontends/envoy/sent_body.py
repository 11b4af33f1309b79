"""A call's body that came within one message of Envoy's."""

from __future__ import annotations

import sys

from sidecar.frontends.bodies import HeldBody
from sidecar.proxy.body_memory import BodyMemory


def sent_body(content: bytes, memory: BodyMemory, *, partial: bool) -> HeldBody:
    """Hold a body for the engine; one that is not whole counts as too long for any amount."""

    async def pull() -> tuple[bytes, bool]:
        return content, False

    return HeldBody(
        pull,
        memory,
        length=sys.maxsize if partial else len(content),
        whole=not content and not partial,
        idle_timeout=None,
        total_timeout=None,
    )
