"""The sockets of the admin side: addresses, and a Unix socket that its owner alone may open."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from pathlib import Path
from typing import Final

from sidecar.admin.wire import AdminConnections
from sidecar.domain.errors import UserError
from sidecar.http1.listening import listen, refusal

_BACKLOG: Final = 128
_PRIVATE: Final = 0o177  # the mask that leaves 0600


async def listen_at(
    flag: str, host: str, port: int, connections: AdminConnections
) -> asyncio.Server:
    """Listen at an address. Raises UserError, which names `flag`, where it cannot be had."""
    try:
        return await listen(connections, host, port)
    except OSError as error:
        raise refusal(error, host, port, host_flag=flag, port_flag=flag) from error


async def listen_on(flag: str, path: Path, connections: AdminConnections) -> asyncio.Server:
    """Listen on a Unix socket of mode 0600. Raises UserError where that cannot be."""
    loop = asyncio.get_running_loop()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_left(path)
        mask = os.umask(_PRIVATE)  # never open to others, not even between bind and chmod
        try:
            listener.bind(str(path))
        finally:
            os.umask(mask)
        return await loop.create_unix_server(connections, sock=listener, backlog=_BACKLOG)
    except OSError as error:
        listener.close()
        raise UserError(
            f"{flag}: {path} cannot be listened on: {error.strerror or error}:"
            " give a path in a folder that the sidecar may write to, and that no other one uses"
        ) from error


def remove_socket(path: Path) -> None:
    """Remove the socket's file."""
    with contextlib.suppress(OSError):
        path.unlink()


def _remove_left(path: Path) -> None:
    """Remove the socket that a process left which has ended. Raises OSError for one in use."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(0, "there is a file that is no socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
                return
        raise OSError(0, "another process listens there")
