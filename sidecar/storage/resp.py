"""The wire format of Redis (RESP 2): how a command is written, and how a reply is read."""

from __future__ import annotations

import asyncio
import re
from typing import Final, TypeAlias

from sidecar.errors import SidecarError

_MAX_BYTES: Final = 1 << 20
_MAX_ITEMS: Final = 1 << 16
_MAX_DEPTH: Final = 8
_CODE: Final = re.compile(r"[A-Z]{2,20}")
_REDIRECTS: Final = frozenset({"MOVED", "ASK"})


class ReplyError(SidecarError):
    """A server answered a command with an error; `code` is its first word.

    The text of most errors is dropped: a server may repeat the command in it, and so a password.
    That of a `redirect` to another node of a cluster (MOVED, ASK) is kept as `detail`: the slot and
    the address.
    """

    def __init__(self, line: str) -> None:
        """Take the line of the error, without its `-`."""
        code, _, detail = line.partition(" ")
        self.code = code if _CODE.fullmatch(code) else "ERR"
        self.redirect = self.code in _REDIRECTS
        self.detail = detail if self.redirect else ""
        super().__init__(self.code)


Reply: TypeAlias = bytes | int | list["Reply"] | ReplyError | None
"""What a server answers; an error is a reply like any other, because its connection goes on."""


class NotRedisError(SidecarError):
    """What came is not a reply of Redis, or one that is too long."""


def pack(*words: bytes) -> bytes:
    """Write one command."""
    return b"".join(
        (b"*%d\r\n" % len(words), *(b"$%d\r\n%b\r\n" % (len(word), word) for word in words))
    )


async def read_reply(reader: asyncio.StreamReader, depth: int = 0) -> Reply:
    """Read one reply. Raises NotRedisError, EOFError at the end of the stream, or OSError."""
    try:
        line = (await reader.readuntil(b"\r\n"))[:-2]
    except asyncio.LimitOverrunError:
        raise NotRedisError("a line that is too long") from None
    kind, rest = line[:1], line[1:]
    match kind:
        case b"+":
            return rest
        case b"-":
            return ReplyError(rest.decode("utf-8", "replace"))
        case b":":
            return _number(rest)
        case b"$":
            size = _number(rest)
            if size > _MAX_BYTES:
                raise NotRedisError("a value that is too long")
            return None if size < 0 else (await reader.readexactly(size + 2))[:-2]
        case b"*":
            count = _number(rest)
            if count > _MAX_ITEMS or depth >= _MAX_DEPTH:
                raise NotRedisError("a list that is too long or too deep")
            return (
                None if count < 0 else [await read_reply(reader, depth + 1) for _ in range(count)]
            )
        case _:
            raise NotRedisError("no type of a reply")


def _number(text: bytes) -> int:
    try:
        return int(text)
    except ValueError:
        raise NotRedisError("not a number") from None
