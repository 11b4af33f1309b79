"""Products that answer 413 to an upload before they have read it, and close."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from enum import Enum
from typing import Any, Final

ANSWER: Final = (
    b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large"
)
_RESET: Final = struct.pack("ii", 1, 0)


class Close(Enum):
    """How the product's connection ends, once the answer is sent."""

    UNREAD = "closed with bytes of the body unread, which its kernel answers with a reset"
    RESET = "reset"


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer 413 without a look at the body: an ASGI application."""
    if scope["type"] != "http":
        return
    headers = [(b"content-length", b"9")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": b"too large"})


@contextlib.contextmanager
def refusing_uploads(close: Close, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve on threads of their own, so that both sides act at the same moment; give the port.

    With a `context`, over TLS.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, close, context))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
            thread.join()


def _serve(listener: socket.socket, close: Close, context: ssl.SSLContext | None) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.suppress(OSError))
            if context is not None:
                # Or Nagle would hold the answer back behind a ticket, and the reset would drop it.
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection = context.wrap_socket(connection, server_side=True)
            stack.enter_context(connection)
            came = b""
            while b"\r\n\r\n" not in came and (more := connection.recv(4096)):
                came += more
            connection.sendall(ANSWER)
            if close is Close.RESET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
