"""A listening socket that accepts a connection when there is a place for it, and not before.

`asyncio.Server` accepts whatever comes and gives it its buffers of TLS before the first byte: two
thousand connections that never begin their handshake would be half a gigabyte.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Final

from sidecar.http1.listening import bound
from sidecar.inject.connections import ConnectionPlace, Connections

_log = logging.getLogger("sidecar.inject")

_BACKLOG: Final = 128
_HANDSHAKE_SECONDS: Final = 5.0
_PAUSE: Final = 0.2
"""Seconds after a failed accept, such as one without a free descriptor: no loop of failures."""


class WebhookListener:
    """Accepts connections, with TLS where a context is given; `factory` makes their protocols."""

    def __init__(
        self,
        factory: Callable[[ConnectionPlace], asyncio.Protocol],
        connections: Connections,
        context: ssl.SSLContext | None,
    ) -> None:
        self._factory = factory
        self._connections = connections
        self._context = context
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._opening: dict[asyncio.Task[None], socket.socket] = {}

    def start(self, host: str, port: int) -> int:
        """Listen; return the port, which matters where it was given as 0. Raises OSError."""
        listening = bound(host, port)
        listening.setblocking(False)
        listening.listen(_BACKLOG)
        self._socket = listening
        self._accepting = asyncio.create_task(self._accept(listening), name="accept")
        return int(listening.getsockname()[1])

    async def close(self) -> None:
        """Stop listening, and end the handshakes under way."""
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.wait((self._accepting,))
        if self._socket is not None:
            self._socket.close()
        for sock in self._opening.values():
            _shut(sock)
        if self._opening:
            await asyncio.wait(self._opening)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            place = await self._connections.take()
            try:
                accepted, _ = await loop.sock_accept(listening)
            except OSError as error:
                self._connections.free(place)
                _log.warning("accept_failed", extra={"why": error.strerror})
                await asyncio.sleep(_PAUSE)
                continue
            except asyncio.CancelledError:
                self._connections.free(place)
                raise
            place.since = loop.time()
            place.end = partial(_shut, accepted)
            task = loop.create_task(self._open(accepted, place))
            self._opening[task] = accepted
            task.add_done_callback(self._opening.pop)

    async def _open(self, accepted: socket.socket, place: ConnectionPlace) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._factory(place),
                accepted,
                ssl=self._context,
                ssl_handshake_timeout=None if self._context is None else _HANDSHAKE_SECONDS,
            )
        except OSError as error:  # a handshake that failed, in whatever way
            # Its frames hold the connection's buffers, in a circle that only the collector ends.
            error.__traceback__ = None
            self._connections.free(place)


def _shut(sock: socket.socket) -> None:
    """End a connection whose handshake is under way: its transport is out of reach, and sees it."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
