"""The hot consume call: one write out, one small answer back, on pooled connections.

Every attempt ends within its deadline and is told to the breaker, whether or not somebody still
waits for it. An attempt whose caller was cancelled goes on: the platform may count it, and the
engine has to know (architecture, Rules that hold 4).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, assert_never

import orjson

from sidecar.http1.client import ClientConnection
from sidecar.http1.deadlines import Deadlines
from sidecar.http1.errors import ConnectFailedError, PeerFailure
from sidecar.http1.framing import Body
from sidecar.http1.heads import ResponseHead
from sidecar.http1.pool import Pool
from sidecar.model import Charge, Failed, FailureKind, Granted, Outcome, Refused
from sidecar.platform.answers import read_answer
from sidecar.platform.breaker import Breaker, Ticket, counts_against
from sidecar.ports import PlatformObserver

_FIRST_SHARE: Final = 0.6
"""Share of the whole timeout that the first attempt may take, so that a retry still fits."""

_MAX_ANSWER: Final = 64 * 1024
_LEAST_RETRY_SECONDS: Final = 0.01
_SHARED_DEADLINES: Final = 64
"""Lengths of time that have a queue of their own; any other has a timer for each consume."""


class _Attempt:
    """One request to the platform: the handler of its answer, and what its deadline tells."""

    __slots__ = ("_body", "_charge", "_connection", "_consumer", "_size", "_status", "_type",
                 "decode", "orphaned", "outcome", "result", "started", "ticket")  # fmt: skip

    def __init__(
        self, consumer: Consumer, charge: Charge, ticket: Ticket, connection: ClientConnection
    ) -> None:
        self.decode = True
        self.orphaned: Callable[[Outcome], None] | None = None
        self.outcome: Outcome | None = None
        self.result: asyncio.Future[Outcome] = consumer.loop.create_future()
        self.started = consumer.loop.time()
        self.ticket = ticket
        self._consumer = consumer
        self._charge = charge
        self._connection = connection
        self._status = 0
        self._type = ""
        self._body: list[bytes] = []
        self._size = 0

    @property
    def over(self) -> bool:
        """Whether the outcome is known."""
        return self.outcome is not None

    def expire(self) -> None:
        """Give up at the deadline; what comes later is no longer read."""
        self._give_up(FailureKind.TIMEOUT)

    def close(self) -> None:
        """Give up because the sidecar ends."""
        self._give_up(FailureKind.RESET)

    def on_interim(self, head: ResponseHead) -> None:
        """Wait on: a 1xx is no answer."""

    def on_head(self, head: ResponseHead) -> None:
        """Keep what the outcome is read from."""
        self._status = head.status
        for name, value in head.fields:
            if name == b"content-type":
                self._type = value.decode("latin-1")

    def on_body(self, data: bytes) -> None:
        """Collect the body, within bounds."""
        self._size += len(data)
        if self._size > _MAX_ANSWER:
            self._give_up(FailureKind.MALFORMED)
        else:
            self._body.append(data)

    def on_end(self, data: bytes, body: Body) -> None:  # noqa: ARG002 - trailers say nothing here
        """Read the outcome from the whole answer."""
        if self._size + len(data) > _MAX_ANSWER:
            self._complete(Failed(FailureKind.MALFORMED))
            return
        content = b"".join([*self._body, data]) if self._body else data
        self._complete(read_answer(self._status, self._type, content, self._charge))

    def on_failure(self, kind: PeerFailure, detail: str) -> None:  # noqa: ARG002 - kind says it
        """Take a broken answer for what it is: the platform may have counted."""
        broken = kind is PeerFailure.PROTOCOL
        self._complete(Failed(FailureKind.MALFORMED if broken else FailureKind.RESET))

    def on_writable(self, *, writable: bool) -> None:
        """A consume is one small write: there is nothing to hold back."""

    def _give_up(self, kind: FailureKind) -> None:
        if self.outcome is None:
            self._connection.abort(self)
            self._complete(Failed(kind))

    def _complete(self, outcome: Outcome) -> None:
        """Tell everybody, once: the consumer, and who waits or has left word for later."""
        if self.outcome is not None:
            return
        self.outcome = outcome
        self._consumer.attempt_done(self, outcome)
        if not self.result.done():
            self.result.set_result(outcome)
        elif self.orphaned is not None:
            self.orphaned(outcome)


class Consumer:
    """Calls `POST /v1/quota/consume` (contract, Quotas); the engine's `Quotas` port."""

    def __init__(
        self,
        pool: Pool,
        *,
        key: Callable[[], str],
        breaker: Breaker,
        observer: PlatformObserver,
        agent: str,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.breaker = breaker
        self._pool = pool
        self._key = key
        self._agent = agent
        self._observer = observer
        self._sent_key = ""
        self._prefix = b""
        self._deadlines: dict[float, Deadlines] = {}
        self._in_flight: set[_Attempt] = set()

    async def consume(
        self, charge: Charge, *, timeout: float, orphaned: Callable[[Outcome], None]
    ) -> Outcome:
        """Consume once; one retry under the same key where the first result is unknown."""
        deadline = self.loop.time() + timeout
        ticket = self.breaker.allow(self.loop.time())
        if ticket is None:
            return Failed(FailureKind.BREAKER_OPEN)
        connection = self._pool.take()
        if connection is None:
            connection = await self._connect(ticket, timeout * _FIRST_SHARE)
            if connection is None:
                return Failed(FailureKind.CONNECT)
        attempt = self._send(connection, charge, ticket)
        self._set_deadline(attempt, timeout * _FIRST_SHARE)
        outcome = await self._result(attempt, orphaned)
        if isinstance(outcome, Failed) and outcome.kind.result_unknown:
            return await self._retry(charge, outcome, deadline, orphaned)
        return outcome

    async def close(self) -> None:
        """Close the connections; what is in flight fails as reset, to whoever still waits."""
        for attempt in tuple(self._in_flight):
            attempt.close()
        for deadlines in self._deadlines.values():
            deadlines.close()
        await self._pool.close()

    def attempt_done(self, attempt: _Attempt, outcome: Outcome) -> None:
        """Take a sent request off the list, and tell how it ended."""
        self._in_flight.discard(attempt)
        self._tell(outcome, attempt.ticket, attempt.started)

    def _tell(self, outcome: Outcome, ticket: Ticket, started: float) -> None:
        """Tell the breaker and the observer how one request ended."""
        now = self.loop.time()
        match outcome:
            case Granted():
                ok, label = True, "granted"
            case Refused():
                ok, label = True, "refused"
            case Failed(kind):
                ok, label = not counts_against(kind), kind.value
            case _:
                assert_never(outcome)
        self.breaker.record(ticket, ok=ok, now=now)
        self._observer.consume_finished(label, now - started)

    async def _retry(
        self,
        charge: Charge,
        first: Failed,
        deadline: float,
        orphaned: Callable[[Outcome], None],
    ) -> Outcome:
        """Ask again under the same key, on a new connection, for what is left of the time."""
        left = deadline - self.loop.time()
        if left < _LEAST_RETRY_SECONDS:
            return first
        ticket = self.breaker.allow(self.loop.time())
        if ticket is None:
            return first
        try:
            connection = await self._connect(ticket, left)
        except asyncio.CancelledError:
            orphaned(first)
            raise
        left = deadline - self.loop.time()
        if connection is None:
            return first
        attempt = self._send(connection, charge, ticket)
        timer = self.loop.call_later(max(left, _LEAST_RETRY_SECONDS), attempt.expire)
        try:
            second = await self._result(attempt, lambda later: orphaned(_of_both(first, later)))
        finally:
            if attempt.outcome is not None:  # else it goes on, and so does its deadline
                timer.cancel()
        return _of_both(first, second)

    async def _result(self, attempt: _Attempt, orphaned: Callable[[Outcome], None]) -> Outcome:
        try:
            return await attempt.result
        except asyncio.CancelledError:
            if attempt.outcome is None:
                attempt.orphaned = orphaned
            else:  # it ended in the same moment, and nobody else will hear of it
                orphaned(attempt.outcome)
            raise

    def _send(self, connection: ClientConnection, charge: Charge, ticket: Ticket) -> _Attempt:
        body = orjson.dumps(
            {
                "org_id": charge.org_id,
                "resource": charge.resource,
                "amount": charge.amount,
                "product_id": charge.product,
                "idempotency_key": charge.key,
            }
        )
        attempt = _Attempt(self, charge, ticket, connection)
        self._in_flight.add(attempt)
        data = b"%b%d\r\n\r\n%b" % (self._head(), len(body), body)
        connection.start(attempt, "POST", data, complete=True)
        return attempt

    async def _connect(self, ticket: Ticket, seconds: float) -> ClientConnection | None:
        """Open a connection within `seconds`; None, told to the breaker, when there is none."""
        started = self.loop.time()
        try:
            async with asyncio.timeout(seconds):
                return await self._pool.connect()
        except (ConnectFailedError, TimeoutError):
            self._tell(Failed(FailureKind.CONNECT), ticket, started)
            return None
        except asyncio.CancelledError:
            self.breaker.release(ticket)
            raise

    def _head(self) -> bytes:
        """Return the head up to the length; made anew only when the key has changed."""
        key = self._key()
        if key != self._sent_key:
            self._sent_key = key
            self._prefix = (
                "POST /v1/quota/consume HTTP/1.1\r\n"
                f"host: {self._pool.origin.authority}\r\n"
                f"x-internal-key: {key}\r\n"
                f"user-agent: {self._agent}\r\n"
                "accept: application/json\r\n"
                "content-type: application/json\r\n"
                "content-length: "
            ).encode("ascii")
        return self._prefix

    def _set_deadline(self, attempt: _Attempt, seconds: float) -> None:
        """Have the attempt expire in time: the timeouts of a policy are few, and share a timer."""
        deadlines = self._deadlines.get(seconds)
        if deadlines is not None:
            deadlines.set(attempt)
        elif len(self._deadlines) < _SHARED_DEADLINES:
            deadlines = self._deadlines[seconds] = Deadlines(seconds)
            deadlines.set(attempt)
        else:  # what is left after a wait for a lease is a length that never comes again
            self.loop.call_later(seconds, attempt.expire)


def _of_both(first: Failed, second: Outcome) -> Outcome:
    """Say what two attempts under one key come to.

    Where the second yields no answer either, the result stays unknown: the first failure stands.
    """
    if isinstance(second, Failed) and not second.kind.result_unknown:
        return first
    return second
