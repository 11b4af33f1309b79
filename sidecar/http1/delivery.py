"""What the peer's kernel has acknowledged: the only proof that a request never arrived."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Final

_TCP_INFO: Final[int | None] = getattr(socket, "TCP_INFO", None)
_BYTES_ACKED_AT: Final = 120  # tcpi_bytes_acked in struct tcp_info, Linux 4.1 and later
_SIZE: Final = _BYTES_ACKED_AT + 8


def acknowledged(transport: asyncio.BaseTransport) -> int | None:
    """Return how many bytes the peer has acknowledged so far, by a count of the kernel's own.

    None where it cannot be told: over TLS, on systems without the count, on a closed socket. Bytes
    that were not acknowledged were never handed to the peer's process.
    """
    sock = transport.get_extra_info("socket")
    if _TCP_INFO is None or sock is None or transport.get_extra_info("ssl_object") is not None:
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _SIZE)
    except (OSError, ValueError):  # it is closed, as asyncio and as uvloop tell it
        return None
    return struct.unpack_from("Q", info, _BYTES_ACKED_AT)[0] if len(info) == _SIZE else None
