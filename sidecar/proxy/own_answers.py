"""The answers that the proxy gives in place of the product's: refusals, faults, failures."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from sidecar.answers import early
from sidecar.answers.cors import show_to_page
from sidecar.answers.failures import fault, upstream_failure
from sidecar.answers.refusals import refuse
from sidecar.answers.writer import OwnAnswer, serialise
from sidecar.domain.choices import ErrorFormat
from sidecar.domain.cors import Cors
from sidecar.domain.model import Decision
from sidecar.domain.ports import Clock, RequestObserver
from sidecar.domain.trace import trace_fields
from sidecar.http1.errors import PeerFailure, ProtocolError
from sidecar.http1.shared_lines import CLOSE
from sidecar.proxy.connection import ServerConnection
from sidecar.proxy.exchange import Exchange

log = logging.getLogger("sidecar.proxy")


class AnswerRules(Protocol):
    """The policy in force, as far as it rules over our own answers."""

    @property
    def errors(self) -> ErrorFormat:
        """The error format of what is refused before it has a route."""

    @property
    def cors(self) -> Cors | None:
        """Which pages may read our answers; None for no page of another origin."""


class OwnAnswers:
    """Writes them to the client; one that has begun to get the product's answer is cut instead."""

    def __init__(
        self,
        rules: AnswerRules,
        *,
        clock: Clock,
        observer: RequestObserver,
        new_id: Callable[[], str],
    ) -> None:
        """Answer by `rules`; `new_id` makes the ID of a request that was not read."""
        self._rules = rules
        self._clock = clock
        self._observer = observer
        self._new_id = new_id

    def refuse(self, exchange: Exchange, decision: Decision) -> None:
        """Answer a call that was denied."""
        self.give(exchange, refuse(decision, self._clock.time()))

    def refuse_broken(self, exchange: Exchange, decision: Decision, error: ProtocolError) -> None:
        """Answer a request whose body has an invalid framing."""
        self.refuse(exchange, early.broken_body(decision, error.status, error.detail))

    def report_fault(self, exchange: Exchange, decision: Decision, error: BaseException) -> None:
        """Log a bug of ours, and answer the request that failed through it."""
        extra = {"request_id": decision.request_id, "route": decision.route}
        log.error("fault", exc_info=error, extra={**extra, **trace_fields(exchange.head.fields)})
        self.give(exchange, fault(decision))

    def report_failure(
        self, exchange: Exchange, decision: Decision, kind: PeerFailure, detail: str
    ) -> None:
        """Count a product that gave no whole answer, and answer in its place."""
        self._observer.upstream_failed(kind, detail)
        self.give(exchange, upstream_failure(decision, kind, self._clock.time()))

    def give(self, exchange: Exchange, answer: OwnAnswer) -> None:
        """Send an answer in place of the product's, readable by the page that asked."""
        if exchange.answered:
            exchange.client.abort()  # what the client has is not to look whole
        else:
            self.send(exchange, show_to_page(answer, self._rules.cors, exchange.head.fields))

    def send(self, exchange: Exchange, answer: OwnAnswer) -> None:
        """Send an answer as it is; the connection is kept where the request has arrived whole."""
        exchange.keep = exchange.kept
        exchange.status = answer.status
        exchange.send(
            serialise(
                answer,
                now=self._clock.time(),
                connection=exchange.client.listener.keep_alive if exchange.keep else CLOSE,
                bodiless=exchange.head.method == "HEAD",
            )
        )

    # what never became an exchange

    def refuse_unparsed(self, client: ServerConnection, error: ProtocolError) -> None:
        """Answer what could not be read."""
        errors = self._rules.errors
        self._turn_away(
            client, early.unreadable(self._new_id(), errors, error.status, error.detail)
        )

    def refuse_overloaded(self, client: ServerConnection) -> None:
        """Answer a connection over `--max-connections`, before its first request."""
        errors = self._rules.errors
        self._turn_away(
            client, early.overloaded(self._new_id(), errors, early.TOO_MANY_CONNECTIONS)
        )

    def _turn_away(self, client: ServerConnection, decision: Decision) -> None:
        now = self._clock.time()
        refusal = refuse(decision, now)
        client.write(serialise(refusal, now=now, connection=CLOSE, bodiless=False))
        self._observer.request_finished(decision, decision.status, 0.0)
