"""One answer on its way to the client."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import cast
from unittest import mock

import pytest

from sidecar.domain.choices import Refund
from sidecar.domain.model import AttemptEnd, Decision, Permit, Reason
from sidecar.http1.client import ClientConnection
from sidecar.http1.errors import PeerFailure, ProtocolError
from sidecar.http1.framing import ChunkedBody, CountedBody, UntilCloseBody
from sidecar.http1.heads import parse_request
from sidecar.http1.response_heads import parse_response
from sidecar.http1.shared_lines import kept_for, via_lines
from sidecar.proxy import headers
from sidecar.proxy.body_memory import BodyMemory
from sidecar.proxy.connection import ServerConnection
from sidecar.proxy.exchange import Exchange
from sidecar.proxy.inbound import InboundBody
from sidecar.proxy.phases import Phase
from sidecar.proxy.relay import Ended, Relay
from tests.plane import SystemClock

PERMIT = Permit("id", "free", None, False, Refund.NEVER, None)
DECISION = Decision(Reason.UNMETERED, "free", "id", PERMIT)


class RecordingClient:
    """A client's connection that keeps what is written, and one write apart from the next."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.interims: list[bytes] = []
        self.told: list[str] = []
        self.phase = Phase.EXCHANGE
        self.writing_paused = False
        self.moved = False
        self.listener = SimpleNamespace(keep_alive=kept_for(620), via=via_lines("edge"))

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def write_interim(self, data: bytes) -> None:
        self.interims.append(data)

    def pause_body(self) -> None:
        self.told.append("pause")

    def resume_body(self) -> None:
        self.told.append("resume")

    def open_tunnel(self, upstream: object) -> None:
        self.told.append("tunnel")


class RecordingUpstream:
    """An upstream connection that notes what was done to it."""

    def __init__(self) -> None:
        self.transport = SimpleNamespace(get_write_buffer_size=lambda: 0)
        self.used = False
        self.sent: list[bytes] = []
        self.told: list[str] = []
        self.request_complete = False
        self.arrived = True

    def start(self, handler: object, method: str, data: bytes, *, complete: bool) -> None:
        self.sent.append(data)

    def write(self, handler: object, data: bytes) -> None:
        self.sent.append(data)

    def complete_request(self, handler: object) -> None:
        self.request_complete = True

    def pause_reading(self, handler: object) -> None:
        self.told.append("pause")

    def abort(self, handler: object) -> None:
        self.told.append("abort")

    def fail(self, handler: object, kind: PeerFailure) -> None:
        self.told.append(kind.value)

    def expire_after(self, handler: object, seconds: float) -> None:
        self.told.append(f"within {seconds}")

    def never_arrived(self) -> bool:
        return not self.arrived


class Scene:
    """A relay between a client and an upstream that record."""

    def __init__(
        self, *fields: bytes, version: bytes = b"1.1", first_byte: float | None = None
    ) -> None:
        self.finished: list[Relay] = []
        self.client = RecordingClient()
        self.upstream = RecordingUpstream()
        head = b"\r\n".join((b"GET / HTTP/" + version, b"Host: a", *fields, b"", b""))
        client = cast("ServerConnection", self.client)
        request = parse_request(head, 100)
        body = InboundBody(client, request.length, BodyMemory(), expects=False)
        self.exchange = Exchange(client, request, body if request.length else None, keep=True)
        self.relay = Relay(
            self.exchange,
            cast("ClientConnection", self.upstream),
            DECISION,
            PERMIT,
            None,
            clock=SystemClock(),
            first_byte_timeout=first_byte,
            finished=self.finished.append,
        )

    @property
    def ended(self) -> Ended:
        """How the answer ended, as its relay says once."""
        (relay,) = self.finished
        return relay.ended

    def head(self, *fields: bytes, status: bytes = b"200 OK") -> None:
        """Have the upstream answer with this head."""
        raw = b"\r\n".join((b"HTTP/1.1 " + status, *fields, b"", b""))
        self.relay.on_head(parse_response(raw, "GET", 100))


async def test_head_and_first_bytes_leave_in_one_write() -> None:
    """A small answer costs one system call."""
    scene = Scene()
    scene.head(b"Content-Length: 3")
    assert scene.client.writes == []
    scene.relay.on_end(b"abc", CountedBody(0))
    (write,) = scene.client.writes
    assert write.startswith(b"HTTP/1.1 200 OK\r\n")
    assert write.endswith(b"\r\n\r\nabc")
    assert scene.ended is None


async def test_an_answer_in_one_piece_is_one_write() -> None:
    """With our fields behind the product's, and an end that is told once."""
    scene = Scene()
    raw = b"HTTP/1.1 500 Oh\r\nContent-Length: 3\r\n\r\n"
    scene.relay.on_whole(parse_response(raw, "GET", 100), b"abc")
    (write,) = scene.client.writes
    assert write.startswith(
        b"HTTP/1.1 500 Oh\r\ncontent-length: 3\r\nVia: 1.1 edge\r\nX-Request-ID: id"
    )
    assert write.endswith(b"\r\n\r\nabc")
    assert scene.ended is None
    assert scene.relay.attempt_end is AttemptEnd.FAILED


async def test_a_fault_in_an_answer_in_one_piece_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection is in the pool again by then, so that nothing else would."""
    scene = Scene()
    monkeypatch.setattr(headers, "response_head", mock.Mock(side_effect=RuntimeError("a fault")))
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
    with pytest.raises(RuntimeError, match="a fault"):
        scene.relay.on_whole(parse_response(raw, "GET", 100), b"abc")
    assert scene.ended is PeerFailure.PROTOCOL
    assert (scene.exchange.status, scene.client.writes) == (0, [])


async def test_a_client_that_leaves_ends_the_answer_once() -> None:
    """Its upstream is cut, and charged for as far as it came."""
    scene = Scene()
    scene.relay.start(b"head")
    scene.relay.cancel()
    scene.relay.cancel()
    assert scene.upstream.told == ["abort"]
    assert scene.ended is None
    assert scene.relay.attempt_end is AttemptEnd.DONE


async def test_an_answer_until_close_is_chunked_anew() -> None:
    """So that the client can tell a whole answer from a part."""
    scene = Scene()
    scene.head()
    scene.relay.on_body(b"abc")
    scene.relay.on_end(b"d", UntilCloseBody())
    sent = b"".join(scene.client.writes)
    assert b"\r\ntransfer-encoding: chunked\r\n" in sent
    assert sent.endswith(b"\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n")
    assert scene.exchange.keep


async def test_an_answer_to_1_0_ends_with_the_connection() -> None:
    """HTTP/1.0 knows no chunks: the end is the sign, and a cut must be told from it."""
    scene = Scene(version=b"1.0")
    assert scene.relay.decode
    scene.head(b"Transfer-Encoding: chunked")
    assert scene.relay.until_close
    assert not scene.exchange.keep


async def test_trailers_follow_the_last_chunk() -> None:
    """What the body kept of them is written anew."""
    scene = Scene()
    scene.head(b"Transfer-Encoding: chunked")
    body = ChunkedBody()
    passed, _ = body.feed(b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n")
    scene.relay.on_end(passed, body)
    assert b"".join(scene.client.writes).endswith(b"3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n")


async def test_a_head_whose_body_broke_at_once_is_not_sent() -> None:
    """The client has seen nothing yet, so that it can be told the truth."""
    scene = Scene()
    scene.head(b"Transfer-Encoding: chunked")
    scene.relay.on_failure(PeerFailure.PROTOCOL, "broken")
    assert scene.client.writes == []
    assert scene.exchange.status == 0
    assert scene.ended is PeerFailure.PROTOCOL


@pytest.mark.parametrize("kind", [PeerFailure.CLOSED_EARLY, PeerFailure.CUT_OFF])
async def test_only_a_proof_makes_a_request_unreached(kind: PeerFailure) -> None:
    """Closed before the answer, and nothing acknowledged: both are needed."""
    scene = Scene()
    scene.upstream.arrived = False
    scene.relay.on_failure(kind, "gone")
    assert scene.relay.unreached is (kind is PeerFailure.CLOSED_EARLY)


async def test_what_comes_after_the_end_is_not_sent_upstream() -> None:
    """The connection may belong to another exchange by then."""
    scene = Scene()
    scene.head(b"Content-Length: 0")
    scene.relay.on_end(b"", CountedBody(0))
    scene.relay.send_body(b"late", done=True)
    scene.relay.break_off(ProtocolError("late"))
    scene.relay.time_out()
    assert (scene.upstream.sent, scene.upstream.told) == ([], [])
    assert not scene.upstream.request_complete


async def test_the_first_byte_is_due_when_the_request_is_out() -> None:
    """A slow upload does not use up the upstream's time."""
    scene = Scene(b"Content-Length: 3", first_byte=3.0)
    scene.relay.start(b"head")
    scene.relay.send_body(b"abc", done=False)
    assert scene.upstream.told == []
    scene.relay.send_body(b"", done=True)
    assert scene.upstream.told == ["within 3.0"]
    assert scene.upstream.request_complete


async def test_no_first_byte_is_due_after_the_answer_began() -> None:
    """An early answer is one."""
    scene = Scene(b"Content-Length: 3", first_byte=3.0)
    scene.relay.start(b"head")
    scene.head(b"Transfer-Encoding: chunked")
    scene.relay.send_body(b"", done=True)
    assert scene.upstream.told == []


async def test_waiting_for_the_head_is_no_stall() -> None:
    """A product may think as long as its client waits."""
    scene = Scene()
    scene.relay.time_out()
    assert scene.upstream.told == []


async def test_a_body_that_stands_still_is_a_stall() -> None:
    """After the head, the upstream owes the rest."""
    scene = Scene()
    scene.head(b"Content-Length: 9")
    scene.relay.time_out()
    assert scene.upstream.told == ["idle_timeout"]


async def test_the_client_follows_the_upstreams_pace() -> None:
    """Full: paused; room again: resumed."""
    scene = Scene()
    scene.relay.on_writable(writable=False)
    scene.relay.on_writable(writable=True)
    assert scene.client.told == ["pause", "resume"]


async def test_a_client_that_is_full_already_pauses_the_answer_at_its_head() -> None:
    """Nothing more is read for it before it takes what it has."""
    scene = Scene()
    scene.client.writing_paused = True
    scene.head(b"Content-Length: 3")
    assert scene.upstream.told == ["pause"]


async def test_an_answer_before_the_whole_request_ends_the_connection() -> None:
    """What is left of the request would have to be read first (RFC 9112, 9.6)."""
    scene = Scene(b"Content-Length: 9")
    scene.head(b"Content-Length: 3")
    scene.relay.on_end(b"abc", CountedBody(0))
    assert b"Connection: close\r\n" in scene.client.writes[0]
    assert not scene.exchange.kept


@pytest.mark.parametrize("fields", [(), (b"Date: x",), (b"DATE: y",)])
async def test_an_answer_has_a_date(fields: tuple[bytes, ...]) -> None:
    """The product's own where it sends one, as it came (RFC 9110, 6.6.1)."""
    scene = Scene()
    scene.head(b"Content-Length: 0", *fields)
    scene.relay.on_end(b"", CountedBody(0))
    (head,) = scene.client.writes
    assert head.lower().count(b"\r\ndate: ") == 1
    assert all(b"\r\n" + each.lower() + b"\r\n" in head.lower() for each in fields)


@pytest.mark.parametrize("minor", [0, 1])
async def test_via_names_the_version_of_the_products_answer(minor: int) -> None:
    """Behind what came before, as a line of its own (RFC 9110, 7.6.3)."""
    scene = Scene()
    raw = b"HTTP/1.%d 200 OK\r\nVia: 1.1 a\r\nContent-Length: 0\r\n\r\n" % minor
    scene.relay.on_head(parse_response(raw, "GET", 100))
    scene.relay.on_end(b"", CountedBody(0))
    (head,) = scene.client.writes
    assert re.findall(rb"(?i)\r\nvia: ([^\r]*)", head) == [b"1.1 a", b"1.%d edge" % minor]


async def test_an_upgrade_opens_the_tunnel_behind_its_head() -> None:
    """101 in the words of what was asked for, then bytes both ways."""
    scene = Scene(b"Connection: upgrade", b"Upgrade: websocket")
    scene.head(b"Connection: upgrade", b"Upgrade: websocket", status=b"101 Switching Protocols")
    (head,) = scene.client.writes
    assert b"connection: upgrade\r\nupgrade: websocket\r\n" in head
    assert scene.client.told[-1] == "tunnel"
    assert not scene.exchange.keep


async def test_breaking_off_ends_the_upstream() -> None:
    """The client's mistake is the outcome."""
    scene = Scene()
    error = ProtocolError("broken")
    scene.relay.break_off(error)
    assert scene.upstream.told == ["abort"]
    assert scene.ended is error
