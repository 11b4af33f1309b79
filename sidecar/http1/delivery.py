"""What the kernel knows of bytes on their way: the only proof that a request never arrived."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from typing import Final

_TCP_INFO: Final[int | None] = getattr(socket, "TCP_INFO", None)
_BYTES_ACKED_AT: Final = 120  # tcpi_bytes_acked in struct tcp_info, Linux 4.1 and later
_BYTES_SENT_AT: Final = 200  # tcpi_bytes_sent, Linux 4.19 and later
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_TCP_CLOSE: Final = 7  # tcpi_state, the first byte
_MOST_UNREAD: Final = 64 * 1024


def acknowledged(transport: asyncio.BaseTransport) -> int | None:
    """Return how many bytes the peer has acknowledged so far, by a count of the kernel's own.

    None where it cannot be told: on systems without the count, on a closed socket. Where the peer
    has closed in order, its FIN acknowledges what came before it. Whether bytes that came after it
    were handed to its process, `turned_away` tells. A reset alone proves nothing.
    """
    return _counter(transport, _BYTES_ACKED_AT)


def sent(transport: asyncio.BaseTransport) -> int | None:
    """Return how many bytes have left this machine's kernel so far; None as above."""
    return _counter(transport, _BYTES_SENT_AT)


def turned_away(transport: asyncio.BaseTransport) -> bool:
    """Say whether the peer's kernel has answered bytes of ours with a reset; False where unknown.

    After an orderly close that means: the socket was gone. A peer that has closed only its sending
    side still reads, and acknowledges when it likes.
    """
    sock = transport.get_extra_info("socket")
    if _TCP_INFO is None or sock is None:
        return False
    try:
        return bool(sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 8)[0] == _TCP_CLOSE)
    except (OSError, ValueError):
        return False


def ended(transport: asyncio.BaseTransport) -> bool:
    """Say whether the peer's FIN is the next that can be read; to be asked in `connection_lost`."""
    sock = transport.get_extra_info("socket")
    try:
        return sock is not None and os.read(sock.fileno(), 1) == b""
    except (OSError, ValueError):  # nothing has come, or a reset, or it is closed
        return False


def taken_so_far(transport: asyncio.WriteTransport) -> int:
    """Return a number that grows while the peer reads: what its kernel has acknowledged.

    Where that is not known, what has left our own buffer must do.
    """
    acked = acknowledged(transport)
    return -transport.get_write_buffer_size() if acked is None else acked


def left_unread(transport: asyncio.BaseTransport) -> bytes:
    """Return what had arrived on a connection that is lost; to be asked in `connection_lost`.

    Event loops read nothing more after a write has failed. A server that answers early and closes
    has sent its answer by then, and the kernel keeps it. Over TLS these are encrypted bytes.
    """
    sock = transport.get_extra_info("socket")
    if sock is None:
        return b""
    try:
        return os.read(sock.fileno(), _MOST_UNREAD)  # the loops' sockets do not block
    except (OSError, ValueError):  # nothing is left, or it is closed
        return b""


def reset_on_close(transport: asyncio.BaseTransport) -> None:
    """End the connection with a reset, so that the peer does not take a part for the whole."""
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def _counter(transport: asyncio.BaseTransport, at: int) -> int | None:
    sock = transport.get_extra_info("socket")
    if _TCP_INFO is None or sock is None:
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, at + 8)
    except (OSError, ValueError):  # it is closed, as asyncio and as uvloop tell it
        return None
    return struct.unpack_from("Q", info, at)[0] if len(info) == at + 8 else None
