"""The hot consume call: one write out, one small answer back, on pooled connections.

Every attempt ends within its deadline and is reported to the breaker, whether or not a caller still
waits for it. The deadline counts the time in which our loop runs: what it was too late to read is
no failure of the platform. An attempt whose caller was cancelled goes on: the platform may count
it, and the engine has to know (architecture, Rules that hold 4).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, assert_never

import orjson

from sidecar.domain.model import Charge
from sidecar.domain.ports import PlatformObserver
from sidecar.domain.quota import Failed, FailureKind, Granted, Outcome, Refused
from sidecar.domain.stalls import Allowance, Lost, always_on_time, ends_within
from sidecar.http1.client import ClientConnection
from sidecar.http1.deadlines import Deadlines
from sidecar.http1.errors import ConnectFailedError, PeerFailure
from sidecar.http1.framing import BodyFraming
from sidecar.http1.pool import Pool
from sidecar.http1.response_heads import ResponseHead
from sidecar.platform.answers import malformed, read_answer
from sidecar.platform.breaker import Breaker, Ticket, counts_against

_FIRST_SHARE: Final = 0.6
"""Share of the whole timeout that the first attempt may take, so that a retry still fits."""

_MAX_ANSWER: Final = 64 * 1024
_TOO_LONG: Final = malformed("body", f"it is over {_MAX_ANSWER} bytes")
_JSON: Final = (b"content-type", b"application/json")
_RESET: Final = Failed(FailureKind.RESET)
_LEAST_RETRY_SECONDS: Final = 0.01
_KEY_SECONDS: Final = 0.25
"""How long the key is not asked for again: a file is itself looked at once a second."""

_SHARED_DEADLINES: Final = 64
"""Lengths of time that have a queue of their own; any other has a timer for each consume."""


class _Attempt:
    """One request to the platform: the handler of its answer, and what its deadline ends."""

    __slots__ = (
        "_body",
        "_charge",
        "_connection",
        "_consumer",
        "_head",
        "_seconds",
        "decode",
        "orphaned",
        "outcome",
        "over",
        "result",
        "started",
        "ticket",
    )  # fmt: skip

    def __init__(
        self,
        consumer: Consumer,
        charge: Charge,
        ticket: Ticket,
        connection: ClientConnection,
        *,
        started: float,
        seconds: float,
    ) -> None:
        self.decode = True
        self.orphaned: Callable[[Outcome], None] | None = None
        self.outcome: Outcome | None = None
        self.over = False
        self.result: asyncio.Future[Outcome] = consumer.loop.create_future()
        self.started = started
        self.ticket = ticket
        self._consumer = consumer
        self._charge = charge
        self._connection = connection
        self._seconds = seconds
        self._head: ResponseHead | None = None
        self._body = b""
        consumer.in_flight.add(self)

    def expire(self) -> None:
        """Give up at the deadline; what comes later is no longer read.

        Where our loop was late there is more time: the answer may be here, and unread.
        """
        allowance = self._consumer.allowance(self._seconds, self.started)
        if self.outcome is None and (left := allowance.left) > 0.0:
            self._consumer.loop.call_later(left, self.expire)
            return
        late = allowance.overloaded
        self._give_up(Failed(FailureKind.OVERLOADED if late else FailureKind.TIMEOUT))

    def close(self) -> None:
        """Give up because the sidecar ends."""
        self._give_up(_RESET)

    def on_interim(self, head: ResponseHead) -> None:
        """Wait on: a 1xx is no answer."""

    def on_whole(self, head: ResponseHead, data: bytes) -> None:
        """Read the outcome from the whole answer."""
        kind = ""
        if _JSON not in head.fields:  # as it mostly is: then there is nothing to find
            for name, value in head.fields:
                if name == b"content-type":
                    kind = value.decode("latin-1")
        whole = len(data) <= _MAX_ANSWER
        self._complete(read_answer(head.status, kind, data, self._charge) if whole else _TOO_LONG)

    def on_head(self, head: ResponseHead) -> None:
        """Keep the head of an answer that comes in parts."""
        self._head = head

    def on_body(self, data: bytes) -> None:
        """Collect the body, within bounds."""
        self._body += data  # small, and mostly whole before it comes in parts
        if len(self._body) > _MAX_ANSWER:
            self._give_up(_TOO_LONG)

    def on_end(self, data: bytes, body: BodyFraming) -> None:  # noqa: ARG002 - trailers say nothing here
        """Put the parts together, and read them."""
        if self._head is not None:
            self.on_whole(self._head, self._body + data)

    def on_failure(self, kind: PeerFailure, detail: str) -> None:
        """Take a broken answer for what it is: the platform may have counted."""
        broken = kind is PeerFailure.PROTOCOL
        self._complete(malformed("framing", detail) if broken else _RESET)

    def on_writable(self, *, writable: bool) -> None:
        """A consume is one small write: there is nothing to hold back."""

    def _give_up(self, outcome: Failed) -> None:
        if self.outcome is None:
            self._connection.abort(self)
            self._complete(outcome)

    def leave_to(self, orphaned: Callable[[Outcome], None]) -> None:
        """Report the outcome to `orphaned`: its caller was cancelled, and does not wait for it."""
        if self.outcome is None:
            self.orphaned = orphaned
        else:  # it ended in the same moment
            orphaned(self.outcome)

    def _complete(self, outcome: Outcome) -> None:
        """Report the outcome, once: to the consumer, and to the caller or what it left behind."""
        if self.over:
            return
        self.outcome = outcome
        self.over = True
        self._consumer.in_flight.discard(self)
        self._consumer.report(outcome, self.ticket, self.started)
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
        lost: Lost = always_on_time,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.breaker = breaker
        self._pool = pool
        self._key = key
        self._agent = agent
        self._lost = lost
        self._observer = observer
        self._prefix = b""
        self._key_due = 0.0
        self._deadlines: dict[float, Deadlines] = {}
        self.in_flight: set[_Attempt] = set()

    async def consume(
        self, charge: Charge, *, timeout: float, orphaned: Callable[[Outcome], None]
    ) -> Outcome:
        """Consume once; one retry under the same key where the first result is unknown."""
        began = started = self.loop.time()
        ticket = self.breaker.allow(began)
        if ticket is None:
            return Failed(FailureKind.BREAKER_OPEN)
        share = timeout * _FIRST_SHARE
        connection = self._pool.take()
        if connection is None:
            found = await self._connect(ticket, self.allowance(share, began))
            if isinstance(found, Failed):
                return found
            connection = found
            started = self.loop.time()
        request = self._request(charge, started)
        attempt = _Attempt(self, charge, ticket, connection, started=started, seconds=share)
        deadlines = self._deadlines.get(share)
        if deadlines is not None:
            deadlines.set(attempt)
        else:
            self._set_first_deadline(attempt, share)
        connection.start(attempt, "POST", request, complete=True)
        try:
            outcome = await attempt.result
        except asyncio.CancelledError:
            attempt.leave_to(orphaned)
            raise
        if isinstance(outcome, Failed) and outcome.kind.result_unknown:
            return await self._retry(charge, outcome, self.allowance(timeout, began), orphaned)
        return outcome

    def allowance(self, seconds: float, started: float) -> Allowance:
        """Return what is left of so many seconds, in a loop that runs."""
        return Allowance(seconds, started, self.loop.time, self._lost)

    async def close(self) -> None:
        """Close the connections; what is in flight fails as reset."""
        for attempt in tuple(self.in_flight):
            attempt.close()
        for deadlines in self._deadlines.values():
            deadlines.close()
        await self._pool.close()

    def report(self, outcome: Outcome, ticket: Ticket, started: float) -> None:
        """Report to the breaker and the observer how one request ended."""
        now = self.loop.time()
        match outcome:
            case Granted():
                ok, label = True, "granted"
            case Refused():
                ok, label = True, "refused"
            case Failed(FailureKind.OVERLOADED as kind):
                self.breaker.release(ticket)  # nothing was learnt of the platform
                self._observer.consume_finished(kind.value, now - started)
                return
            case Failed(kind):
                ok, label = not counts_against(kind), kind.value
                if outcome.cause:
                    self._observer.consume_failed(outcome)
            case _:
                assert_never(outcome)
        if not (ok and self.breaker.steady):
            self.breaker.record(ticket, ok=ok, now=now)
        self._observer.consume_finished(label, now - started)

    async def _retry(
        self,
        charge: Charge,
        first: Failed,
        allowance: Allowance,
        orphaned: Callable[[Outcome], None],
    ) -> Outcome:
        """Ask again under the same key, on a new connection, for what is left of the time."""
        if allowance.left < _LEAST_RETRY_SECONDS:
            return first
        ticket = self.breaker.allow(self.loop.time())
        if ticket is None:
            return first
        try:
            connection = await self._connect(ticket, allowance)
        except asyncio.CancelledError:
            orphaned(first)
            raise
        if isinstance(connection, Failed):
            return first
        seconds = max(allowance.left, _LEAST_RETRY_SECONDS)
        started = self.loop.time()
        attempt = _Attempt(self, charge, ticket, connection, started=started, seconds=seconds)
        connection.start(attempt, "POST", self._request(charge, started), complete=True)
        timer = self.loop.call_later(seconds, attempt.expire)
        try:
            second = await attempt.result
        except asyncio.CancelledError:
            attempt.leave_to(lambda later: orphaned(_of_both(first, later)))
            raise
        finally:
            if attempt.outcome is not None:  # else it goes on, and so does its deadline
                timer.cancel()
        return _of_both(first, second)

    def _request(self, charge: Charge, now: float) -> bytes:
        """Write the request, with the key that is in force."""
        if now >= self._key_due:
            self._take_key(now)
        body = orjson.dumps(
            {
                "org_id": charge.org_id,
                "resource": charge.resource,
                "amount": charge.amount,
                "product_id": charge.product,
                "idempotency_key": charge.key,
            }
        )
        return b"%b%d\r\n\r\n%b" % (self._prefix, len(body), body)

    async def _connect(self, ticket: Ticket, allowance: Allowance) -> ClientConnection | Failed:
        """Open a connection in time, or report to the breaker that there is none."""
        started = self.loop.time()
        connecting = self.loop.create_task(self._pool.connect())
        failed = Failed(
            FailureKind.CONNECT, PeerFailure.CONNECT_TIMEOUT.value, "no connection in time"
        )
        taken = False
        try:
            if await ends_within(allowance, connecting):
                connection = connecting.result()
                taken = True
                return connection
            if allowance.overloaded:
                failed = Failed(FailureKind.OVERLOADED)
        except ConnectFailedError as error:
            failed = Failed(FailureKind.CONNECT, error.kind.value, str(error))
        except asyncio.CancelledError:
            self.breaker.release(ticket)
            raise
        finally:
            if not taken:  # it may come, or have come, in the very moment in which it is given up
                connecting.cancel()
                connecting.add_done_callback(_put_back)
        self.report(failed, ticket, started)
        return failed

    def _take_key(self, now: float) -> None:
        """Write the head up to the length, with the key that is in force for a moment from now."""
        self._key_due = now + _KEY_SECONDS
        self._prefix = (
            "POST /v1/quota/consume HTTP/1.1\r\n"
            f"host: {self._pool.origin.authority}\r\n"
            f"x-internal-key: {self._key()}\r\n"
            f"user-agent: {self._agent}\r\n"
            "accept: application/json\r\n"
            "content-type: application/json\r\n"
            "content-length: "
        ).encode("ascii")

    def _set_first_deadline(self, attempt: _Attempt, seconds: float) -> None:
        """Have the attempt expire in time: the timeouts of a policy are few, and share a timer."""
        if len(self._deadlines) < _SHARED_DEADLINES:
            deadlines = self._deadlines[seconds] = Deadlines(seconds)
            deadlines.set(attempt)
        else:  # what is left after a wait for a lease is a length that never comes again
            self.loop.call_later(seconds, attempt.expire)


def _put_back(connecting: asyncio.Task[ClientConnection]) -> None:
    """Return a connection that its asker no longer takes."""
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().put_back()


def _of_both(first: Failed, second: Outcome) -> Outcome:
    """Say what two attempts under one key come to.

    Where the second yields no answer either, the result stays unknown: the first failure stands.
    """
    if isinstance(second, Failed) and not second.kind.result_unknown:
        return first
    return second
