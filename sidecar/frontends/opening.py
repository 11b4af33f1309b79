"""Where the adapters get their door: opened where it is first needed, closed with the product."""

from __future__ import annotations

from typing import Protocol

from sidecar.frontends.door import Door


class DoorSource(Protocol):
    """Opens the door of the running event loop, and closes it."""

    async def start(self) -> None:
        """Open it, also after `aclose`. Raises UserError for what a user can fix."""

    async def door(self) -> Door:
        """Return it, opened where that was not done; one that was closed refuses every call."""

    async def aclose(self) -> None:
        """Let the calls under way finish, for a time, and close it."""
