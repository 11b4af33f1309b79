"""A way to a server through a proxy: HTTP CONNECT (RFC 9110, section 9.3.6)."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from typing import Final

_MAX_ANSWER: Final = 16 * 1024
_END: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy; `authorization` is the value of Proxy-Authorization, and never shown."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Its URL without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


async def open_tunnel(stream: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    """Have the proxy at the other end of `stream` connect to `host`. Raises OSError."""
    loop = asyncio.get_running_loop()
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    request = f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n"
    if proxy.authorization is not None:
        request += f"Proxy-Authorization: {proxy.authorization}\r\n"
    await loop.sock_sendall(stream, f"{request}\r\n".encode("ascii"))
    answer = b""
    while _END not in answer:
        part = await loop.sock_recv(stream, 4096)
        answer += part
        if not part or len(answer) > _MAX_ANSWER:
            raise OSError(f"the proxy {proxy.url} gave no answer to CONNECT")
    head, _, rest = answer.partition(_END)
    version, _, status = head.partition(b"\r\n")[0].partition(b" ")
    code = status[:3]
    if not version.startswith(b"HTTP/1.") or not code.isdigit() or rest:
        raise OSError(f"the proxy {proxy.url} gave an unclear answer to CONNECT")
    if not code.startswith(b"2"):
        raise OSError(f"the proxy {proxy.url} answered {int(code)} to CONNECT")
