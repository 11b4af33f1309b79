"""Holds that replicas share over Redis: each shows what it holds, and takes in one atomic step.

One batch is on its way at a time. It begins with what this process holds, as its book has it, and
takes the holds of the calls that wait: so nothing that was lost on the way is wrong for long. What
is held is shown again while it is held, and expires when the process no longer does that.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b, sha1
from typing import Any, Final

from cachetools import LRUCache
from redis.asyncio import RedisCluster
from redis.exceptions import NoScriptError, RedisError

from sidecar.domain.holds import HoldRoom, Shared, Standing
from sidecar.domain.model import Slot
from sidecar.domain.ports import HoldSource
from sidecar.storage.causes import LateError, cause_of
from sidecar.storage.holds_script import EXPIRY_SECONDS, SCRIPT, ScriptReply, arguments, found
from sidecar.storage.redis_attempts import RedisAttempts
from sidecar.storage.redis_client import Client, end

TIMEOUT_SECONDS: Final = 0.05
"""The longest a call waits for its hold to be taken; then it goes on by what is known."""

RENEW_SECONDS: Final = 2.0
"""How often what is held is shown again: several times before it expires."""

RETRY_SECONDS: Final = 5.0
"""After Redis has refused the script; calls do not ask meanwhile."""

CAPACITY: Final = 10_000
"""Orgs times resources of which it is remembered what others hold."""

_BATCH: Final = 100  # slots in one pipeline: a longer one would take too long to write
_AT_ONCE: Final = 16  # nodes of a cluster are asked for each slot by itself
_CLOSE_SECONDS: Final = 1.0
_PREFIX: Final = b"bb-sidecar:holds:"
_DIGEST_BYTES: Final = 16
_SCRIPT_NAME: Final = sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
_NOTHING: Final = Standing(0, 0, None, 0.0)

_log = logging.getLogger("sidecar.storage")


@dataclass(frozen=True, slots=True)
class _Take:
    call: str
    deposit: int
    hold: int
    answer: asyncio.Future[Shared | None]


class RedisHolds:
    """`sidecar.domain.ports.SharedHolds` over one Redis, or over a cluster."""

    def __init__(self, connections: RedisAttempts, *, realm: str, replica: bytes) -> None:
        """Share over `connections`; `replica` is random, and this process's own.

        Replicas of one `realm` have the same platform.
        """
        self._connections = connections
        self._realm = realm.encode()
        self._replica = replica.hex()
        self._source: HoldSource | None = None
        self._takes: OrderedDict[Slot, list[_Take]] = OrderedDict()
        self._dirty: dict[Slot, None] = {}
        self._others: LRUCache[Slot, tuple[int, float]] = LRUCache(CAPACITY)
        self._wake = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None
        self._refused = ""
        self._again_at = 0.0

    @property
    def problem(self) -> str:
        """Why holds are not shared now; empty while they are."""
        return self._connections.problem or self._refused

    def begin(self, source: HoldSource) -> None:
        """Share what `source` holds from now on."""
        self._source = source
        self._sending = asyncio.ensure_future(self._run(source))

    async def close(self) -> None:
        """Show that nothing is held any more."""
        if self._sending is None or self._source is None:
            return
        await end(self._sending)
        self._resolve(self._takes)
        client, slots = self._client(), list(self._source.slots())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                while client is not None and slots and not self._refused:
                    batch = {slot: (_NOTHING, list[_Take]()) for slot in slots[:_BATCH]}
                    del slots[:_BATCH]
                    await self._send(client, batch)

    def changed(self, slot: Slot) -> None:
        """Show the others how a slot stands, soon."""
        self._dirty[slot] = None
        self._wake.set()

    def others(self, slot: Slot) -> int:
        """Return the units that other replicas hold, as last seen; 0 once that is long ago."""
        seen = self._others.get(slot)
        if seen is None or asyncio.get_running_loop().time() - seen[1] >= EXPIRY_SECONDS:
            return 0
        return seen[0]

    async def take(self, slot: Slot, call: str, *, deposit: int, hold: int) -> Shared | None:
        """Take a call's hold over all replicas, if it fits; None when Redis does not answer."""
        if self._client() is None:
            return None
        loop = asyncio.get_running_loop()
        take = _Take(call, deposit, hold, loop.create_future())
        self._takes.setdefault(slot, []).append(take)
        self._wake.set()
        try:
            await asyncio.wait((take.answer,), timeout=TIMEOUT_SECONDS)
            if take.answer.done():
                return take.answer.result()
        finally:
            take.answer.cancel()  # what is taken for it after that is shown as not held
        self._connections.doubt(LateError(TIMEOUT_SECONDS))
        return None

    def _client(self) -> Client | None:
        if self._refused and asyncio.get_running_loop().time() < self._again_at:
            return None
        return self._connections.client

    async def _run(self, source: HoldSource) -> None:
        """Send what is to be shown and taken, one batch after the other; all, every while."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if loop.time() >= due:
                due = loop.time() + RENEW_SECONDS
                self._dirty.update(dict.fromkeys(source.slots()))
            client = self._client()
            if client is None:
                self._resolve(self._takes)
                self._dirty.clear()  # what is held is shown again, and the rest expires
            elif self._takes or self._dirty:
                await self._send(client, self._next(source))
                continue
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._wake.wait()

    def _next(self, source: HoldSource) -> dict[Slot, tuple[Standing, list[_Take]]]:
        slots = [*self._takes, *(slot for slot in self._dirty if slot not in self._takes)][:_BATCH]
        batch = {}
        for slot in slots:
            takes = [take for take in self._takes.pop(slot, ()) if not take.answer.done()]
            self._dirty.pop(slot, None)
            batch[slot] = (source.standing(slot), takes)
        return batch

    async def _send(self, client: Client, batch: dict[Slot, tuple[Standing, list[_Take]]]) -> None:
        """Run the script for each slot of a batch, and take in what it gives."""
        commands = [
            (
                self._key(slot),
                arguments(self._replica, standing, [(t.deposit, t.hold) for t in takes]),
            )
            for slot, (standing, takes) in batch.items()
        ]
        replies: list[Any] = []
        try:
            replies = await self._replies(client, commands)
        except Exception as error:  # noqa: BLE001 - a call never fails for what the store does
            self._connections.doubt(error)
        failed: Exception | None = None
        for (slot, (_, takes)), reply in zip(batch.items(), replies, strict=False):
            if isinstance(reply, Exception):
                failed = reply
                continue
            try:
                self._take_in(slot, takes, found(slot[1], reply))
            except ValueError as error:
                failed = error
        self._resolve({slot: takes for slot, (_, takes) in batch.items()})
        if replies:
            self._note(failed)

    async def _replies(self, client: Client, commands: list[tuple[bytes, list[str]]]) -> list[Any]:
        """Run the script for each key, also where Redis does not know it yet."""
        replies = await _run_all(client, "EVALSHA", _SCRIPT_NAME, commands)
        unknown = [n for n, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:  # Redis was started again, or is another
            again = await _run_all(client, "EVAL", SCRIPT, [commands[n] for n in unknown])
            for n, reply in zip(unknown, again, strict=True):
                replies[n] = reply
        return replies

    def _take_in(self, slot: Slot, takes: list[_Take], it: ScriptReply) -> None:
        self._others[slot] = (it.others, asyncio.get_running_loop().time())
        for take, room in zip(takes, it.rooms, strict=True):
            if take.answer.done():  # given up: it may have been taken all the same
                self.changed(slot)
                continue
            match room:
                case HoldRoom.FREE:
                    self._asked(take, take.deposit + take.hold)
                case HoldRoom.UNKNOWN:
                    self._asked(take, take.deposit)
                case HoldRoom.SHORT:
                    pass
            take.answer.set_result(Shared(room, it.quota))

    def _asked(self, take: _Take, units: int) -> None:
        if self._source is not None:
            self._source.asked(take.call, units)

    @staticmethod
    def _resolve(takes: dict[Slot, list[_Take]]) -> None:
        """Let calls that still wait go on without an answer."""
        for each in takes.values():
            for take in each:
                if not take.answer.done():
                    take.answer.set_result(None)
        takes.clear()

    def _note(self, failed: Exception | None) -> None:
        """Log that Redis refuses the script, and that it no longer does."""
        refused = "" if failed is None else cause_of(failed)
        if refused:
            self._again_at = asyncio.get_running_loop().time() + RETRY_SECONDS
        if refused == self._refused:
            return
        self._refused = refused
        if refused:
            meaning = "holds of other replicas are not known until Redis runs the script"
            _log.warning("redis_holds_lost", extra={"cause": refused, "meaning": meaning})
        else:
            _log.info("redis_holds_back", extra={"meaning": "holds are shared by replicas again"})

    def _key(self, slot: Slot) -> bytes:
        parts = (self._realm, *(part.encode("utf-8", "surrogatepass") for part in slot))
        named = b"".join(b"%d:%s" % (len(part), part) for part in parts)
        return _PREFIX + blake2b(named, digest_size=_DIGEST_BYTES).hexdigest().encode()


async def _run_all(
    client: Client, command: str, script: str, commands: list[tuple[bytes, list[str]]]
) -> list[Any]:
    """Run a script for each key; a key that fails alone gets its error."""
    if not isinstance(client, RedisCluster):
        pipe = client.pipeline(transaction=False)
        for key, words in commands:
            pipe.execute_command(command, script, 1, key, *words)
        return list(await pipe.execute(raise_on_error=False))
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one(key: bytes, words: list[str]) -> Any:  # noqa: ANN401 - what a Redis answers
        async with turns:
            try:
                return await client.execute_command(command, script, 1, key, *words)
            except RedisError as error:
                return error

    return list(await asyncio.gather(*(one(*each) for each in commands)))
