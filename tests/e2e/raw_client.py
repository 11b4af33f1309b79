"""A keep-alive HTTP client that costs little: one request at a time on one connection."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; field names in lower case."""

    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def mark(self) -> str:
        """The reason that a marked answer names; "" where there is none."""
        return self.fields.get("x-quota-decision", "")


class RawClient:
    """One connection, opened again when the server has closed it."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self._address = host, int(port)
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, if it is open."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None

    async def send(self, request: bytes) -> Answer:
        """Send a whole request; return its answer, which must have a length.

        Raises ConnectionError or EOFError when the server goes away without one.
        """
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(*self._address)
        self._writer.write(request)
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
            first, *lines = head[:-4].decode("latin-1").split("\r\n")
            pairs = (line.partition(":") for line in lines)
            fields = {name.lower(): value.strip() for name, _, value in pairs}
            body = await self._reader.readexactly(int(fields["content-length"]))
        except BaseException:
            self.close()
            raise
        if fields.get("connection") == "close":
            self.close()
        return Answer(int(first.split()[1]), fields, body)


def post(path: str, token: str, body: bytes = b"{}", **fields: str) -> bytes:
    """Write a POST as one piece, as somebody with this token; `x_request_id` is `x-request-id`."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return (
        f"POST {path} HTTP/1.1\r\nhost: notes.example.com\r\ncookie: bb_at={token}\r\n{more}"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body
