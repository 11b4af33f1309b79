"""Reason phrases of the statuses that we send (RFC 9110, 15; RFC 6585).

Our own table: the standard library's words differ between Python versions.
"""

from __future__ import annotations

from typing import Final

PHRASES: Final = {
    200: b"OK",
    202: b"Accepted",
    400: b"Bad Request",
    401: b"Unauthorized",
    402: b"Payment Required",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    409: b"Conflict",
    413: b"Content Too Large",
    415: b"Unsupported Media Type",
    417: b"Expectation Failed",
    422: b"Unprocessable Content",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
}


def phrase_of(status: int) -> bytes:
    """Return the phrase; a status that a policy chose beyond the table is `Refused`."""
    return PHRASES.get(status, b"Refused")
