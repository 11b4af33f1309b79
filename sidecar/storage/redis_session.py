"""One connection to a Redis server, from its login to its end: commands in, replies out, in order.

The replies are read by a task of the session's own. A caller that is cancelled or gives up keeps
its place in the queue, so an answer never reaches another caller.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sidecar.redis_url import RedisUrl
from sidecar.storage.causes import CONNECTION_FAULTS, LinkError
from sidecar.storage.resp import NotRedisError, Reply, ReplyError, pack, read_reply

Answer = asyncio.Future[list[Reply] | None]
"""The replies to the commands of one question; None when the connection ended before them."""


@dataclass(slots=True)
class _Question:
    due: int
    answer: Answer
    replies: list[Reply] = field(default_factory=list)


class RedisSession:
    """An open connection; `ended` is called with the reason when it fails, and not by `close`."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        ended: Callable[[Exception], None],
    ) -> None:
        """Take over a connection, and begin to read from it."""
        self._writer = writer
        self._ended = ended
        self._questions: deque[_Question] = deque()
        self.fault: Exception | None = None
        self._reading = asyncio.ensure_future(self._read(reader))

    @property
    def waiting(self) -> int:
        """How many questions have no answer yet."""
        return len(self._questions)

    def ask(self, *commands: Sequence[bytes]) -> Answer:
        """Send commands at once, and return the answer to come."""
        answer: Answer = asyncio.get_running_loop().create_future()
        if self.fault is not None or self._writer.is_closing():
            answer.set_result(None)
            return answer
        self._questions.append(_Question(len(commands), answer))
        self._writer.write(b"".join(pack(*words) for words in commands))
        return answer

    async def command(self, *words: bytes) -> Reply:
        """Send one command and wait for its reply. Raises what ended the connection."""
        replies = await self.ask(words)
        if replies is None:
            raise self.fault or LinkError("it closed the connection")
        return replies[0]

    async def log_in(self, url: RedisUrl) -> None:
        """Authenticate and select the database, as the URL says. Raises ReplyError or LinkError."""
        password = url.password.encode()
        if url.username:
            reply = await self.command(b"AUTH", url.username.encode(), password)
            if _refused(reply):  # Redis 5 has no users
                reply = await self.command(b"AUTH", password)
            _require(reply, "the URL has a password, and it has none")
        elif url.password:
            reply = await self.command(b"AUTH", password)
            _require(reply, "the URL has a password, and it has none")
        if url.client_name:
            reply = await self.command(b"CLIENT", b"SETNAME", url.client_name.encode())
            _require(reply, "it refuses the client_name")
        if url.database:
            reply = await self.command(b"SELECT", b"%d" % url.database)
            _require(reply, f"it has no database {url.database}")

    def fail(self, fault: Exception) -> None:
        """Use the connection no more, for this reason; what waits gets no answer."""
        if self.fault is None:
            self._stop(fault)
            self._ended(fault)

    async def close(self) -> None:
        """Close the connection: at once, even if the wait for it is cancelled."""
        self._stop(LinkError("closed"))
        self._reading.cancel()
        self._writer.transport.abort()
        await asyncio.wait((self._reading,))
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Give each reply to the first question of the queue, until the connection ends."""
        try:
            while self.fault is None:
                self._take(await read_reply(reader))
        except CONNECTION_FAULTS as fault:
            self.fail(fault)

    def _take(self, reply: Reply) -> None:
        if not self._questions:
            raise reply if isinstance(reply, ReplyError) else NotRedisError("an unasked reply")
        question = self._questions[0]
        question.replies.append(reply)
        if len(question.replies) == question.due:
            self._resolve(self._questions.popleft(), question.replies)

    def _stop(self, fault: Exception) -> None:
        self.fault = self.fault or fault
        while self._questions:
            self._resolve(self._questions.popleft(), None)

    @staticmethod
    def _resolve(question: _Question, replies: list[Reply] | None) -> None:
        if not question.answer.done():  # its caller has given up
            question.answer.set_result(replies)


def _refused(reply: Reply) -> bool:
    return isinstance(reply, ReplyError) and reply.code == "ERR"


def _require(reply: Reply, refusal: str) -> None:
    """Raise what a reply says is wrong; `refusal` where it has no code of its own."""
    if _refused(reply):
        raise LinkError(refusal)
    if isinstance(reply, ReplyError):
        raise reply
