"""The answers that the proxy gives in place of the product's: refusals, faults, failures."""

from __future__ import annotations

from typing import Protocol

from sidecar.answers import early
from sidecar.answers.cors import show_to_page
from sidecar.answers.failures import fault, upstream_failure
from sidecar.answers.refusals import refuse
from sidecar.answers.writer import OwnAnswer, serialise
from sidecar.domain.cors import Cors
from sidecar.domain.model import Decision
from sidecar.domain.ports import Clock
from sidecar.http1.errors import PeerFailure, ProtocolError
from sidecar.http1.shared_lines import CLOSE
from sidecar.proxy.connection import ServerConnection
from sidecar.proxy.exchange import Exchange


class Pages(Protocol):
    """Where the policy in force says which pages may read our answers."""

    @property
    def cors(self) -> Cors | None:
        """Which pages may; None for no page of another origin."""


class OwnAnswers:
    """Writes them to the client; one that has begun to get the product's answer is cut instead."""

    def __init__(self, pages: Pages, clock: Clock) -> None:
        self._pages = pages
        self._clock = clock

    def refuse(self, exchange: Exchange, decision: Decision) -> None:
        """Answer a call that was denied."""
        self.give(exchange, refuse(decision, self._clock.time()))

    def refuse_broken(self, exchange: Exchange, decision: Decision, error: ProtocolError) -> None:
        """Answer a request whose body has an invalid framing, and close the connection."""
        if exchange.answered:
            exchange.cut()
        else:
            self.refuse(exchange, early.broken_body(decision, error.status, error.detail))

    def report_fault(self, exchange: Exchange, decision: Decision) -> None:
        """Answer a request that failed through a bug of ours."""
        if exchange.answered:
            exchange.cut()
        else:
            self.give(exchange, fault(decision))

    def report_failure(self, exchange: Exchange, decision: Decision, kind: PeerFailure) -> None:
        """Answer a request to which the product gave no whole answer."""
        if exchange.answered:
            exchange.cut()
        else:
            self.give(exchange, upstream_failure(decision, kind, self._clock.time()))

    def give(self, exchange: Exchange, answer: OwnAnswer) -> None:
        """Send an answer; the connection is kept where the request has arrived whole."""
        exchange.keep = exchange.kept
        self.send(exchange, show_to_page(answer, self._pages.cors, exchange.head.fields))

    def send(self, exchange: Exchange, answer: OwnAnswer) -> None:
        """Send an answer as it is; `exchange.keep` says what comes after it."""
        exchange.status = answer.status
        exchange.send(
            serialise(
                answer,
                now=self._clock.time(),
                connection=exchange.client.listener.keep_alive if exchange.keep else CLOSE,
                bodiless=exchange.head.method == "HEAD",
            )
        )

    def turn_away(self, client: ServerConnection, decision: Decision) -> None:
        """Answer what never became an exchange."""
        now = self._clock.time()
        refusal = refuse(decision, now)
        client.write(serialise(refusal, now=now, connection=CLOSE, bodiless=False))
