"""The door of a product's own process: decides on a call, and closes the attempt once.

What it knows of servers and frameworks is nothing: an adapter makes the `Call`, sends the answer or
calls the product, and ends the `Visit`.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from sidecar.answers import early
from sidecar.answers.cors import show_to_page
from sidecar.answers.failures import fault
from sidecar.answers.refusals import quota_headers, refuse
from sidecar.answers.writer import OwnAnswer
from sidecar.domain.choices import ErrorFormat, Refund
from sidecar.domain.cors import Cors
from sidecar.domain.errors import SidecarError
from sidecar.domain.model import AttemptEnd, Call, Decision, Headers, Permit, RequestIdOrigin
from sidecar.domain.ports import BodySource, Clock, RequestObserver
from sidecar.domain.usage import Usage
from sidecar.frontends.bodies import BodyTooSlowError, ClientLeftError
from sidecar.frontends.fields import decided_on
from sidecar.frontends.questions import CallQuestion
from sidecar.http1.errors import ProtocolError
from sidecar.policy.amounts import MAX_UNITS
from sidecar.policy.compiled import Policy
from sidecar.proxy.body_memory import BodyMemory
from sidecar.proxy.drain import Drain
from sidecar.usage.settled_answer import SettledAnswer

log = logging.getLogger("sidecar.frontends")

TOO_SLOW: Final = "The request's body did not arrive in time."

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._~:/+=@-]{1,128}")
ID_FIELD: Final = b"x-request-id"
_OURS: Final = frozenset({ID_FIELD, b"x-quota-decision"})
_QUOTA_FIELDS: Final = frozenset({b"ratelimit", b"ratelimit-policy"})
_SERVER_ERROR: Final = 500

_NOTHING_READ: Final = Usage(None, None, None, 0, None)
"""Of an answer that is not read, or that costs its deposit."""


class SettleError(SidecarError, ValueError):
    """The product has named a cost that cannot be one, or too late."""


class Decider(Protocol):
    """The engine, as a door needs it."""

    @property
    def errors(self) -> ErrorFormat:
        """The error format of what is refused before it has a route."""

    @property
    def cors(self) -> Cors | None:
        """Which pages may read the answers that are not the product's."""

    async def decide(self, call: Call, body: BodySource) -> Decision:
        """Decide what is to happen to a call."""

    def priced_by_product(self, decision: Decision) -> Permit:
        """Return the permit of a call whose product names its cost, where no answer does."""

    def attempt_ended(self, permit: Permit, end: AttemptEnd, usage: Usage | None) -> None:
        """Record the result of the attempt, and what its answer says it cost; once a permit."""


class Visit:
    """One decided call: with an `answer` of ours, or for the product to answer; then `end`.

    `settled` is there where the call is settled by its answer. A door that sees answers gives it
    the request (`asking_body`, `request_fields`), the head of the answer (`began`), its parts
    (`feed`, and `end` with the last); what these return is passed on. Then it ends the visit.
    """

    __slots__ = ("_added", "_door", "_ended", "_headers", "_started", "_units", "answer",
                 "decision", "settled")  # fmt: skip

    def __init__(self, door: Door, headers: Headers, started: float) -> None:
        self._door = door
        self._headers = headers
        self._started = started
        self._added: float | None = None
        self._ended = False
        self._units: int | None = None
        self.decision: Decision
        self.answer: OwnAnswer | None = None
        self.settled: SettledAnswer | None = None

    def decided(self, decision: Decision) -> None:
        """Take the decision; without a permit there is an answer."""
        self.decision = decision
        permit = decision.permit
        if permit is None:
            self.refuse_with(refuse(decision, self._door.clock.time()))
        elif permit.terms is not None:
            self.settled = SettledAnswer(permit.terms)

    def refuse_with(self, answer: OwnAnswer) -> None:
        """Answer in place of the product."""
        self.answer = show_to_page(answer, self._door.engine.cors, self._headers)

    def refuse_unkept(self) -> None:
        """Refuse with 500 what a door that never sees the answer would charge wrongly.

        Such a call is for ext_proc. The caller ends the visit as unreached.
        """
        permit = self.decision.permit
        if permit is not None and (permit.terms is not None or permit.refund is Refund.FAILED):
            self.refuse_with(fault(self.decision))

    def mark(self, headers: Headers) -> list[tuple[bytes, bytes]]:
        """Return the fields of the product's answer with ours, names in lower case."""
        marks, dropped = self.marks()
        return [*((name, value) for name, value in headers if name.lower() not in dropped), *marks]

    def marks(self) -> tuple[list[tuple[bytes, bytes]], frozenset[bytes]]:
        """Return our fields for the answer, and the names of the product's that they replace."""
        marks = quota_headers(self.decision, self._door.clock.time())
        fields = [(ID_FIELD, self.decision.request_id.encode("ascii"))]
        fields += [(name.lower(), value) for name, value in marks]
        return fields, _OURS | _QUOTA_FIELDS if len(marks) > 1 else _OURS

    def begin(self) -> None:
        """Note the time that was added: the product is called now."""
        self._added = self._door.clock.monotonic() - self._started

    def settle(self, units: int) -> None:
        """Take the whole cost of the call from its product. Raises SettleError."""
        if type(units) is not int or not 0 <= units <= MAX_UNITS:
            raise SettleError(
                f"settle({units!r}): give the whole cost of the call as a whole number of units "
                f"from 0 to {MAX_UNITS}"
            )
        if self._ended:
            raise SettleError(
                f"settle({units!r}): the answer to request {self.decision.request_id} has ended, "
                "and was settled: call it before the last part of the answer is sent"
            )
        self._units = units

    def end(self, status: int, end: AttemptEnd | None = None) -> None:
        """Close the attempt, and settle it; what comes after the first time changes nothing.

        `status` is that of the answer, 0 where none was given. Without an `end` it follows from it.
        """
        if self._ended:
            return
        self._ended = True
        door = self._door
        if end is None:
            end = AttemptEnd.FAILED if status >= _SERVER_ERROR else AttemptEnd.DONE
        try:
            self._close(end)
        except Exception:
            log.exception("fault", extra={"request_id": self.decision.request_id})
        finally:
            door.drain.leave()
            seconds = door.clock.monotonic() - self._started
            door.observer.request_finished(self.decision, status, seconds, self._added)

    def _close(self, end: AttemptEnd) -> None:
        permit, settled = self.decision.permit, self.settled
        if permit is None:
            return
        usage = None
        if settled is not None:
            end, usage = settled.result(end)
        if self._units is not None and permit.charge is not None:
            usage = replace(usage or _NOTHING_READ, missing=None, units=self._units)
            if settled is None:
                permit = self._door.engine.priced_by_product(self.decision)
        self._door.engine.attempt_ended(permit, end, usage)


class Door:
    """Decides on calls for one process and one event loop."""

    def __init__(
        self,
        *,
        engine: Decider,
        policy: Callable[[], Policy],
        clock: Clock,
        observer: RequestObserver,
        memory: BodyMemory,
        nonce: str,
        max_inflight: int | None = None,
    ) -> None:
        """Ask `engine`; `nonce` begins the request IDs that are made here.

        Over `max_inflight` calls under way a new one is refused, where nothing else bounds them.
        """
        self.engine: Final = engine
        self.policy: Final = policy
        self.clock: Final = clock
        self.observer: Final = observer
        self.memory: Final = memory
        self.drain: Final = Drain()
        self._max_inflight = max_inflight or sys.maxsize
        self._nonce = nonce
        self._serial = 0

    async def enter(self, call: Call, body: BodySource) -> Visit:
        """Decide on a call. The caller ends the visit, however the attempt goes.

        Raises ClientLeftError where the client goes away first, ProtocolError where it breaks its
        body; the visit has ended then.
        """
        drain = self.drain
        drain.inflight += 1
        visit = Visit(self, call.headers, self.clock.monotonic())
        try:
            if drain.draining:
                visit.decided(early.draining(call.request_id, self.engine.errors))
            elif drain.inflight > self._max_inflight:
                busy = early.TOO_MANY_REQUESTS
                visit.decided(early.overloaded(call.request_id, self.engine.errors, busy))
            else:
                visit.decided(await self.engine.decide(call, body))
        except BodyTooSlowError:
            visit.decided(early.unreadable(call.request_id, self.engine.errors, 408, TOO_SLOW))
        except (ClientLeftError, ProtocolError):
            visit.decision = self._undecided(call)
            visit.end(0)
            raise
        except Exception:
            log.exception("fault", extra={"request_id": call.request_id})
            visit.decision = self._undecided(call)
            visit.refuse_with(fault(visit.decision))
        except BaseException:
            visit.decision = self._undecided(call)
            visit.end(0, AttemptEnd.UNREACHED)
            raise
        return visit

    def asked_about(self, question: CallQuestion, given: bytes | None, *, trusted: bool) -> Call:
        """Describe a call that another program forwards; `trusted`: the ID given is believed."""
        request_id, origin = self.request_id(given, trusted=trusted)
        path, _, query = question.target.partition("?")
        headers = decided_on(question.headers)
        return Call(question.method, path, query, headers, request_id, origin)

    def refuse_unread(self, detail: str, status: int = 400) -> tuple[OwnAnswer, Decision]:
        """Refuse what is no call that can be read; no call is counted."""
        decision = early.unreadable(self.new_id(), self.engine.errors, status, detail)
        return refuse(decision, self.clock.time()), decision

    def request_id(self, given: bytes | None, *, trusted: bool) -> tuple[str, RequestIdOrigin]:
        """Return the request ID of a call that came with `given`, and who chose it."""
        if given is not None and _REQUEST_ID.fullmatch(given):
            origin = RequestIdOrigin.TRUSTED if trusted else RequestIdOrigin.CLIENT
            return given.decode("ascii"), origin
        return self.new_id(), RequestIdOrigin.GENERATED

    def new_id(self) -> str:
        """Make a request ID."""
        self._serial += 1
        return f"{self._nonce}-{self._serial:x}"

    def _undecided(self, call: Call) -> Decision:
        """Make a placeholder decision, for the metrics of a call that ended before it had one."""
        return early.unreadable(call.request_id, self.engine.errors)
