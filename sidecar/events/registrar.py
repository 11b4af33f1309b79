"""Registers the sidecar's own endpoint at the platform, for as long as it takes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from sidecar.domain.errors import SidecarError, TransientError
from sidecar.events.meaning import PUBLISHED_EVENTS, WANTED_EVENTS
from sidecar.settings.secret import Secret

_log = logging.getLogger("sidecar.events")

_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 300.0

Register = Callable[[Sequence[str]], Awaitable[Secret]]
"""Registers for these events and returns the secret. Raises SidecarError."""


class Registrar:
    """Holds the secret of this process's registration: one for each start of the sidecar."""

    def __init__(
        self,
        register: Register,
        *,
        on_secret: Callable[[Secret], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`on_secret` gets the secret before it is used, so that logs mask it."""
        self._register = register
        self._on_secret = on_secret
        self._sleep = sleep
        self._secret: str | None = None

    def secret(self) -> str | None:
        """Return what deliveries are signed with; None until it is registered."""
        return self._secret

    async def run(self) -> None:
        """Register once; after a failure again, ever more seldom, until it is done.

        A refusal that waiting does not end is tried again too, with the published event names
        alone: the platform may know no families of events.
        """
        wait = _FIRST_WAIT
        wanted: tuple[str, ...] = WANTED_EVENTS
        while True:
            try:
                secret = await self._register(wanted)
            except SidecarError as error:
                if not isinstance(error, TransientError):
                    wanted = PUBLISHED_EVENTS if wanted == WANTED_EVENTS else WANTED_EVENTS
                _log.warning(
                    "webhook_not_registered",
                    extra={
                        "problem": str(error),
                        "next_try_seconds": wait,
                        "hint": "see that the platform knows the key and reaches --webhook-url",
                    },
                )
                await self._sleep(wait)
                wait = min(wait * 2, _LONGEST_WAIT)
            else:
                self._on_secret(secret)
                self._secret = secret.reveal()
                _log.info("webhook_registered", extra={"events": list(wanted)})
                return
