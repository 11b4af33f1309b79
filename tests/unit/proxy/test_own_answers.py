"""Answers in place of the product's, and what becomes of one that has begun."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from sidecar.answers import early
from sidecar.domain.choices import ErrorFormat
from sidecar.domain.cors import Cors
from sidecar.http1.errors import PeerFailure, ProtocolError
from sidecar.http1.heads import parse_request
from sidecar.http1.shared_lines import kept_for
from sidecar.proxy.connection import ServerConnection
from sidecar.proxy.exchange import Exchange
from sidecar.proxy.own_answers import OwnAnswers
from tests.fakes.clock import TurnedClock
from tests.fakes.engines import RememberingRequests

DECISION = early.unreadable("id", ErrorFormat.PROBLEM)


class Rules:
    """A policy that shows refusals to no page."""

    cors: Cors | None = None
    errors = ErrorFormat.PROBLEM


class RecordingClient:
    """A client's connection that keeps what is written, and whether it was cut."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.cut = False
        self.listener = SimpleNamespace(keep_alive=kept_for(620))

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def abort(self) -> None:
        self.cut = True


@pytest.fixture
def observer() -> RememberingRequests:
    """Yield what counts."""
    return RememberingRequests()


@pytest.fixture
def answers(observer: RememberingRequests) -> OwnAnswers:
    """Yield answers at a fixed time."""
    clock = TurnedClock(1_700_000_000.0)
    return OwnAnswers(Rules(), clock=clock, observer=observer, new_id=lambda: "made")


@pytest.fixture
def client() -> RecordingClient:
    """Yield the client's connection."""
    return RecordingClient()


@pytest.fixture
def exchange(client: RecordingClient) -> Exchange:
    """Yield the exchange of a GET."""
    head = parse_request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 100)
    return Exchange(cast("ServerConnection", client), head, None, keep=True)


def test_a_refusal_keeps_the_connection_of_a_whole_request(
    answers: OwnAnswers, exchange: Exchange, client: RecordingClient
) -> None:
    """Its status is that of the exchange."""
    answers.refuse(exchange, DECISION)
    (written,) = client.writes
    assert written.startswith(b"HTTP/1.1 400 ")
    assert b"Connection: keep-alive\r\n" in written
    assert exchange.status == 400


@pytest.mark.parametrize("case", ["broken", "fault", "failure"])
def test_a_begun_answer_is_cut(
    answers: OwnAnswers, exchange: Exchange, client: RecordingClient, case: str
) -> None:
    """A second head would be read as a part of the first answer's body."""
    exchange.send(b"HTTP/1.1 200 OK\r\n")
    match case:
        case "broken":
            answers.refuse_broken(exchange, DECISION, ProtocolError("broken"))
        case "fault":
            answers.report_fault(exchange, DECISION, ValueError("ours"))
        case _:
            answers.report_failure(exchange, DECISION, PeerFailure.CUT_OFF, "")
    assert (len(client.writes), client.cut) == (1, True)


@pytest.mark.parametrize(
    ("kind", "status"), [(PeerFailure.CUT_OFF, 502), (PeerFailure.FIRST_BYTE_TIMEOUT, 504)]
)
def test_a_failure_of_the_product_is_answered(
    answers: OwnAnswers,
    exchange: Exchange,
    kind: PeerFailure,
    status: int,
) -> None:
    """While nothing of its own answer has left."""
    answers.report_failure(exchange, DECISION, kind, "")
    assert exchange.status == status


@pytest.mark.parametrize(("unparsed", "status"), [(True, 431), (False, 503)])
def test_what_never_became_an_exchange_is_closed(
    answers: OwnAnswers,
    client: RecordingClient,
    observer: RememberingRequests,
    *,
    unparsed: bool,
    status: int,
) -> None:
    """Where the next request would begin is not known. It is counted."""
    connection = cast("ServerConnection", client)
    if unparsed:
        answers.refuse_unparsed(connection, ProtocolError("the head is too large", 431))
    else:
        answers.refuse_overloaded(connection)
    (written,) = client.writes
    assert written.startswith(b"HTTP/1.1 %d " % status)
    assert b"Connection: close\r\n" in written
    assert b"X-Request-ID: made\r\n" in written
    ((_, _, code),) = observer.told
    assert code == status
