"""What can be wrong with a peer, as seen from the wire."""

from __future__ import annotations

import os
from enum import StrEnum


class ProtocolError(Exception):
    """A peer broke HTTP/1.1, or sent what two parsers could read in two ways.

    `status` is what a client is answered; the connection is never used again.
    """

    def __init__(self, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status


class PeerFailure(StrEnum):
    """How a request to a server failed; the `kind` label of `upstream_errors_total`."""

    CONNECT = "connect"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS = "tls"
    POOL_EXHAUSTED = "pool_exhausted"
    CLOSED_EARLY = "closed_early"  # before one byte of an answer
    CUT_OFF = "cut_off"  # in the middle of an answer
    PROTOCOL = "protocol"
    FIRST_BYTE_TIMEOUT = "first_byte_timeout"
    IDLE_TIMEOUT = "idle_timeout"


class ConnectFailedError(Exception):
    """No connection could be had, so no byte of the request has left."""

    def __init__(self, kind: PeerFailure, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


def connect_failure(error: OSError) -> str:
    """Say why a connection failed, in the system's words whatever the event loop.

    asyncio's own are "Connect call failed ('10.0.0.1', 443)" for every number.
    """
    text = error.strerror or str(error)
    if error.errno and text.startswith("Connect call failed"):
        return os.strerror(error.errno)
    return text
