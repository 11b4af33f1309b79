"""Opens a connection to a server: by name or address, past an address that is dead, with TLS."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Protocol, cast

import aiohappyeyeballs

from sidecar.http1.resolving import IpAddress, Lookup, Resolver
from sidecar.http1.tls import Sessions, TlsTransport
from sidecar.http1.tunnel import Proxy, open_tunnel


class DialOrigin(Protocol):
    """A server: where to connect, and what to call it in Host."""

    @property
    def host(self) -> str:
        """A name or an address."""

    @property
    def port(self) -> int:
        """A TCP port."""

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""

    @property
    def authority(self) -> str:
        """The value of Host."""


class Dialler:
    """Connects to one origin, directly or through a proxy.

    `fallback_delay` is what the address tried first may take, in seconds, before the next one is
    tried beside it (RFC 8305: at most 250 ms); and a lookup, before older addresses are used.
    """

    def __init__(
        self,
        origin: DialOrigin,
        *,
        context: ssl.SSLContext | None,
        fallback_delay: float,
        proxy: Proxy | None = None,
        lookup: Lookup | None = None,
    ) -> None:
        self._origin = origin
        self._context = context
        if context is not None:  # or a write might have to wait for a second handshake
            context.options |= ssl.OP_NO_RENEGOTIATION
        self._sessions = Sessions()
        self._delay = fallback_delay
        self._proxy = proxy
        host = origin.host if proxy is None else proxy.host
        self._resolver = Resolver(host, patience=fallback_delay, lookup=lookup)

    async def dial(self, factory: Callable[[], asyncio.Protocol]) -> asyncio.Transport:
        """Connect a protocol. Raises OSError, of which ssl.SSLError is one."""
        addresses = await self._resolver.addresses()
        try:
            return await self._dial(addresses, factory)
        except OSError as error:
            problem = error
        # The server may have moved since the last lookup. Not within the `except`: where a compiled
        # coroutine waits in one, its exception becomes the context of whatever else the loop runs.
        try:
            others = await self._resolver.other_than(addresses)
            if not others:
                raise problem
        finally:
            del problem  # or it would keep itself alive through its traceback
        return await self._dial(others, factory)

    def close(self) -> None:
        """Let go of the lookup under way."""
        self._resolver.close()

    async def _dial(
        self, addresses: Sequence[IpAddress], factory: Callable[[], asyncio.Protocol]
    ) -> asyncio.Transport:
        """Connect to the first address that answers; remember which did, and which did not."""
        loop = asyncio.get_running_loop()
        origin, context = self._origin, self._context
        tls, protocol = None, factory
        if context is not None:
            tls = TlsTransport(factory(), context, origin.host, self._sessions)
            layer = cast("asyncio.Protocol", tls)
            protocol = lambda: layer  # noqa: E731 - the loop asks for a factory
        tried = addresses
        try:
            if len(addresses) == 1 and self._proxy is None:  # nearly always, and half the work
                transport, _ = await loop.create_connection(
                    protocol, addresses[0].host, origin.port
                )
                if tls is not None:
                    await tls.opened()
                self._resolver.worked(addresses[0])
            else:
                stream = await self._race(addresses)
                try:
                    tried = self._note_winner(addresses, stream)
                    if self._proxy is not None:
                        await open_tunnel(stream, self._proxy, origin.host, origin.port)
                except BaseException:
                    stream.close()
                    raise
                # From here on the socket is the loop's, which closes it whatever happens.
                transport, _ = await loop.create_connection(protocol, sock=stream)
                if tls is not None:
                    await tls.opened()
        except asyncio.CancelledError:  # its time is over, or its caller has gone
            self._resolver.failed(tried[:1])
            raise
        except OSError:
            self._resolver.failed(tried)
            raise
        return transport if tls is None else cast("asyncio.Transport", tls)

    async def _race(self, addresses: Sequence[IpAddress]) -> socket.socket:
        """Return a socket connected to one of the addresses, the earlier the better."""
        port = self._origin.port if self._proxy is None else self._proxy.port
        kind, protocol = int(socket.SOCK_STREAM), int(socket.IPPROTO_TCP)
        infos = [(each.family, kind, protocol, "", each.with_port(port)) for each in addresses]
        try:
            return await aiohappyeyeballs.start_connection(
                infos, happy_eyeballs_delay=self._delay, interleave=0
            )
        except RuntimeError as error:  # uvloop's, for a socket that it will not take
            raise OSError(str(error)) from error
        except OSError as error:
            if error.errno is None:  # each address failed in its own way
                raise
            raise OSError(error.errno, os.strerror(error.errno)) from error

    def _note_winner(
        self, addresses: Sequence[IpAddress], stream: socket.socket
    ) -> Sequence[IpAddress]:
        """Keep which address answered, and that those before it did not; return the winner."""
        host = stream.getpeername()[0]
        for number, address in enumerate(addresses):
            if address.host == host:
                self._resolver.worked(address)
                if number:
                    self._resolver.failed(addresses[:number])
                return (address,)
        return addresses
