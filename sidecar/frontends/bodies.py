"""A request's body that comes in messages: read for an amount within its bound, then replayed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from sidecar.domain.errors import NoRoomError, SidecarError
from sidecar.domain.model import Headers
from sidecar.frontends.fields import field_of, with_length
from sidecar.proxy.body_memory import BodyMemory
from sidecar.settings.embedded import HostedSettings
from sidecar.usage.settled_answer import SettledAnswer


class ClientLeftError(SidecarError):
    """The client went away before its body was whole."""


class BodyTooSlowError(SidecarError):
    """A body did not arrive in the time that it has."""


Pull = Callable[[], Awaitable[tuple[bytes, bool]]]
"""Waits for the next piece of a body; also says whether more will come. Raises ClientLeftError."""

_MAX_DIGITS: Final = 18


class HeldBody:
    """The pieces of a body that were read for an amount; a `BodySource` for the engine.

    `take` hands them out again, in the same pieces. `memory` counts them until then.
    """

    __slots__ = ("_counted", "_held", "_holder", "_idle", "_length", "_memory", "_pull", "_total",
                 "whole")  # fmt: skip

    def __init__(
        self,
        pull: Pull,
        memory: BodyMemory,
        *,
        length: int | None,
        whole: bool,
        idle_timeout: float | None,
        total_timeout: float | None,
    ) -> None:
        """Read from `pull`; `length` is what the head says, None where it says nothing.

        `whole`: there is no body.
        """
        self._pull = pull
        self._memory = memory
        self._length = length
        self._idle = idle_timeout
        self._total = total_timeout
        self._held: deque[bytes] = deque()
        self._holder = ""
        self._counted = 0
        self.whole = whole
        """Whether its end has been received."""

    async def read(self, limit: int, holder: str = "", decoder: int = 0) -> bytes | None:
        """Return the whole body; None when it is longer than `limit` bytes.

        Raises NoRoomError, BodyTooSlowError, and ClientLeftError.
        """
        self._holder = holder
        announced = self._length or 0
        if announced > limit:
            return None
        self._reserve(announced + decoder)
        size = 0
        try:
            async with asyncio.timeout(self._total):
                while not self.whole:
                    async with asyncio.timeout(self._idle):
                        piece, more = await self._pull()
                    self.whole = not more
                    self._held.append(piece)
                    size += len(piece)
                    if size > limit:
                        return None
                    self._reserve(size + decoder - self._counted)
        except TimeoutError as error:
            raise BodyTooSlowError("the body is late") from error
        return b"".join(self._held)

    @property
    def content(self) -> bytes | None:
        """All of it, where it was read whole; None for any other body."""
        return b"".join(self._held) if self.whole and self._held else None

    def replace(self, content: bytes) -> None:
        """Hand out `content` in place of what was read."""
        self._held = deque((content,))
        self._memory.add(len(content) - self._counted, self._holder)
        self._counted = len(content)

    @property
    def held(self) -> bool:
        """Whether pieces are left that `take` hands out."""
        return bool(self._held)

    def take(self) -> bytes | None:
        """Hand out the next piece that was read; None where no piece is left."""
        if not self._held:
            return None
        piece = self._held.popleft()
        if not self._held:
            self.let_go()
        return piece

    def let_go(self) -> None:
        """Hold nothing more, and count nothing more."""
        self._held.clear()
        if self._counted:
            self._memory.add(-self._counted, self._holder)
            self._counted = 0

    def _reserve(self, size: int) -> None:
        if size > 0:
            if not self._memory.reserve(size, self._holder):
                raise NoRoomError("no memory is left for a body")
            self._counted += size


def body_of(
    pull: Pull, memory: BodyMemory, headers: Headers, deadlines: HostedSettings, *, whole: bool
) -> HeldBody:
    """Return the body of a call with these fields; `whole`: there is none."""
    return HeldBody(
        pull,
        memory,
        length=announced_length(field_of(headers, b"content-length")),
        whole=whole,
        idle_timeout=deadlines.body_idle_timeout,
        total_timeout=deadlines.request_timeout,
    )


def replaced_by_asking(
    settled: SettledAnswer, path: str, headers: Headers, body: HeldBody
) -> list[tuple[bytes, bytes]]:
    """Ask the product for an answer that can be read, and maybe for its usage; return its fields.

    The body is replaced where it has to ask for usage.
    """
    fields = settled.request_fields(headers)
    content = body.content if settled.reads_request else None
    asking = None if content is None else settled.asking_body(path.encode("ascii"), fields, content)
    if asking is None:
        return fields
    body.replace(asking)
    return with_length(fields, len(asking))


def announced_length(text: bytes | None) -> int | None:
    """Return what a Content-Length says; None where it is missing or no count."""
    if text is None or not text.isdigit() or len(text) > _MAX_DIGITS:
        return None
    return int(text)
