"""A request's body on its way in: held until it is forwarded, then passed on as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Final

from sidecar.domain.errors import NoRoomError
from sidecar.domain.turns import turns
from sidecar.http1.errors import ProtocolError
from sidecar.http1.framing import ChunkedBody
from sidecar.http1.heads import CHUNKED
from sidecar.proxy.body_memory import BodyMemory
from sidecar.proxy.ports import Sender

_HOLD: Final = 64 * 1024
_QUIET_SECONDS: Final = 0.25
_PRIME_SECONDS: Final = 5.0
# Work is counted in line ends, of which each chunk has two: a slice takes up to 0.5 ms.
_SLICE_WORK: Final = 512
_PIECE: Final = 4 * 1024
_PIECE_WORK: Final = 4
_ARRIVING: Final = 0.0001
"""Seconds that it takes to receive the next piece of a large body: up to 256 KiB."""

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class InboundBody:
    """One request's body, with its framing checked; a `BodySource` for the engine.

    Bytes are held (64 KiB, then the client is paused; earlier where `memory` is full) until
    `attach` names where they go. A body that is read for an amount stays held, and is passed on as
    it came. `memory` counts what is held, what is read, and what the upstream has not taken.
    """

    __slots__ = ("_chunked", "_content", "_counted", "_expects", "_held", "_hold", "_holder",
                 "_left", "_memory", "_reading", "_sender", "_sink", "_waiter", "done", "error",
                 "received")  # fmt: skip

    def __init__(self, sender: Sender, length: int, memory: BodyMemory, *, expects: bool) -> None:
        """Take a body of `length` bytes, or CHUNKED; `expects` a 100 before it is sent."""
        self._sender = sender
        self._chunked = ChunkedBody(bounded=True) if length == CHUNKED else None
        self._left = max(length, 0)
        self._memory = memory
        self._counted = 0
        self._holder = ""
        self._content: bytes | None = None  # of a chunked body that was read
        self._held: bytes | bytearray = b""  # bytes where it came in one piece: no copy is made
        self._hold = _HOLD
        self._expects = expects
        self._reading = False
        self._sink: Callable[[bytes, bool], None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.done = length == 0
        self.error: ProtocolError | NoRoomError | None = None
        self.received = 0

    @property
    def owes_continue(self) -> bool:
        """Whether the client still waits for a 100 before it sends its body."""
        return self._expects and not self.received and not self.done

    # what the connection does

    def feed(self, data: bytes) -> bytes:
        """Take bytes off the wire; return those after the body. ProtocolError if it is broken.

        What is returned while the body is not done costs too much at once: feed it again later.
        """
        chunked = self._chunked
        if chunked is not None:
            passed, rest = chunked.feed(data)
            self.done = done = chunked.done
            if done:
                passed += chunked.last_chunk()
        else:
            left = self._left
            passed, rest = (data, b"") if len(data) <= left else (data[:left], data[left:])
            self._left = left = left - len(passed)
            self.done = done = not left
        self.received += len(data) - len(rest)
        sink = self._sink
        if sink is not None:
            if passed or done:
                sink(passed, done)
            return rest
        if not (self._held or self._reading or self.error):  # the first piece: mostly all of it
            self._held = passed
            self._counted = len(passed)
            self._memory.used += len(passed)
        elif passed:
            self._keep(passed)
        if done:
            if self._waiter is not None:
                self._wake()
        elif len(self._held) >= self._hold or (self._memory.is_full and not self._reading):
            self._sender.pause_body()
            self._wake()
        return rest

    def fail(self, error: ProtocolError | NoRoomError) -> None:
        """Remember why the body cannot be read, and wake what waits for it."""
        self.error = error
        self._wake()

    # what the gateway does

    @property
    def whole(self) -> bytes | None:
        """The whole content, where it is here; None for any other body.

        Of a chunked one only what was read: no other code takes its chunks off in slices. With
        trailer fields there is none, since they may be a digest of it.
        """
        if not self.done or self._sink is not None or self.error is not None:
            return None
        if self._chunked is None:
            return bytes(self._held)
        return None if self._chunked.trailers else self._content

    def replace(self, content: bytes) -> None:
        """Forward `content`, of a known length, in place of a body that is `whole`."""
        self._memory.add(len(content) - self._counted, self._holder)
        self._counted = len(content)
        self._held = content
        self._content = None

    def attach(self, sink: Callable[[bytes, bool], None]) -> bytes:
        """Return what is held; from now on `sink(data, done)` gets what comes.

        Raises ProtocolError when the body was found broken before, NoRoomError as `read` does.
        """
        if self.error is not None:
            raise self.error
        held = bytes(self._held)
        self._held = b""
        self._content = None
        self._sink = sink
        if not self.done:
            self._sender.resume_body()
        return held

    def count_unsent(self, size: int) -> None:
        """Count, instead of what was held, the `size` bytes that the upstream has not taken."""
        if size != self._counted and self._sink is not None:
            self._memory.add(size - self._counted, self._holder)
            self._counted = size

    def let_go(self) -> None:
        """Hold nothing more, and count nothing more: where it went is no longer known either."""
        self._held = b""
        self._content = None
        if self._sink is not None:
            self._sink = _nowhere
        if self._holder:
            self._memory.add(-self._counted, self._holder)
        else:
            self._memory.used -= self._counted
        self._counted = 0

    async def prime(self) -> None:
        """Wait for the first of a chunked body, so that a broken one never reaches the upstream.

        Ends when the body is whole, 64 KiB are held, nothing has come for a quarter of a second, or
        after 5 seconds; at once while the client waits for a 100. ProtocolError when it is broken.
        """
        if self.done or self.owes_continue or self._chunked is None:
            return
        clock = asyncio.get_running_loop().time
        end = clock() + _PRIME_SECONDS
        before = -1
        while len(self._held) < self._hold and before != self.received and clock() < end:
            before = self.received
            try:
                async with asyncio.timeout(_QUIET_SECONDS):
                    await self._wait()
            except TimeoutError:
                continue
            return

    async def read(self, limit: int, holder: str = "", decoder: int = 0) -> bytes | None:
        """Return the whole content, unframed; None when it is longer than `limit` bytes.

        The memory for it, and for a `decoder` of so many bytes, is reserved for `holder`. Raises
        ProtocolError when the body is broken, NoRoomError when it does not fit; cancelled when the
        client goes away.
        """
        self._name_holder(holder)
        self._reading = True
        if self._chunked is None:
            size = self._left + len(self._held)
            if size > limit:
                return None
            self._reserve(size + decoder - self._counted)
            most = limit + 1
        else:
            self._reserve(decoder)
            most = 2 * limit + _HOLD  # the framing counts as well
        if self.owes_continue:
            self._expects = False
            self._sender.write_interim(_CONTINUE)
        paced = 0
        while not self.done:
            held = len(self._held)
            if held >= most:
                return None
            if held >= _HOLD and held != paced:
                paced = held
                await turns().run(_arriving(), holder)
                continue
            self._hold = min(most, held + _HOLD)
            self._sender.resume_body()
            await self._wait()
        self._held = whole = bytes(self._held)
        if self._chunked is None:
            return whole
        self._reserve(len(whole))
        self._content = await turns().run(_unframed(whole, limit), holder)
        return self._content

    async def _wait(self) -> None:
        if self.error is None:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self.error is not None:
            raise self.error

    def _keep(self, data: bytes) -> None:
        """Hold a piece. A body of unknown length is counted as it comes, also while it is read."""
        if self.error is not None:
            return
        if self._chunked is not None or not self._reading:
            if not self._reading:
                self._memory.used += len(data)  # it has no holder before it is read
            elif not self._memory.reserve(len(data), self._holder):
                self.fail(NoRoomError())
                return
            self._counted += len(data)
        if isinstance(self._held, bytearray):
            self._held += data
        else:
            self._held = bytearray(self._held) + data if self._held else data

    def _name_holder(self, holder: str) -> None:
        """Count for `holder` from now on."""
        self._memory.add(-self._counted, self._holder)
        self._holder = holder
        self._memory.add(self._counted, holder)

    def _reserve(self, size: int) -> None:
        """Count `size` more bytes. NoRoomError where they do not fit."""
        if size > 0:
            if not self._memory.reserve(size, self._holder):
                raise NoRoomError
            self._counted += size

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _NoBody:
    """The body of a call that has none."""

    async def read(
        self,
        limit: int,  # noqa: ARG002 - the shape of a BodySource
        holder: str = "",  # noqa: ARG002
        decoder: int = 0,  # noqa: ARG002
    ) -> bytes | None:
        """Return nothing, which fits anywhere."""
        return b""


NO_BODY: Final = _NoBody()


def _nowhere(data: bytes, done: bool) -> None:  # noqa: FBT001 - the shape of a sink
    """Drop what comes after the exchange has ended."""


def _arriving() -> Generator[float, None, None]:
    """Take a turn for the next piece, so that large bodies do not all arrive in one iteration."""
    yield _ARRIVING


def _unframed(framed: bytes, limit: int) -> Generator[None, None, bytes | None]:
    """Take the content out of a whole chunked body, in slices; None over `limit` bytes."""
    framing = ChunkedBody(decode=True)
    content = bytearray()
    work = 0
    for start in range(0, len(framed), _PIECE):
        piece = framed[start : start + _PIECE]
        content += framing.feed(piece)[0]
        if len(content) > limit:
            return None
        work += _PIECE_WORK + piece.count(b"\r\n")
        if work >= _SLICE_WORK:
            work = 0
            yield
    return bytes(content)
