"""What the kernel knows of bytes on their way: the only proof that a request never arrived."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Final

_TCP_INFO: Final[int | None] = getattr(socket, "TCP_INFO", None)
_BYTES_ACKED_AT: Final = 120  # tcpi_bytes_acked in struct tcp_info, Linux 4.1 and later
_BYTES_SENT_AT: Final = 200  # tcpi_bytes_sent, Linux 4.19 and later


def acknowledged(transport: asyncio.BaseTransport) -> int | None:
    """Return how many bytes the peer has acknowledged so far, by a count of the kernel's own.

    None where it cannot be told: over TLS, on systems without the count, on a closed socket. Where
    the peer has closed in order, bytes that were not acknowledged were never handed to its process:
    its FIN acknowledges what came before it. A reset acknowledges nothing, and proves nothing.
    """
    return _counter(transport, _BYTES_ACKED_AT)


def sent(transport: asyncio.BaseTransport) -> int | None:
    """Return how many bytes have left this machine's kernel so far; None as above."""
    return _counter(transport, _BYTES_SENT_AT)


def _counter(transport: asyncio.BaseTransport, at: int) -> int | None:
    sock = transport.get_extra_info("socket")
    if _TCP_INFO is None or sock is None or transport.get_extra_info("ssl_object") is not None:
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, at + 8)
    except (OSError, ValueError):  # it is closed, as asyncio and as uvloop tell it
        return None
    return struct.unpack_from("Q", info, at)[0] if len(info) == at + 8 else None
