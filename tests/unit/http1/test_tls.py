"""TLS in memory: the handshake, sessions, both ends of a stream, and what bounds it."""

from __future__ import annotations

import asyncio
import ssl
import weakref
from pathlib import Path

import pytest

from sidecar.http1.tls import Sessions
from tests.fakes.certificates import loopback_contexts
from tests.fakes.tls_records import Contexts, Wire
from tests.loops import turn

BOTH_VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture
def contexts(tmp_path: Path) -> Contexts:
    """Return a server's context, and a client's that trusts it."""
    return loopback_contexts(tmp_path)


async def test_the_protocol_is_connected_when_the_certificate_is_verified(
    contexts: Contexts,
) -> None:
    """And not before: it could write."""
    wire = Wire(contexts)
    wire.collect()
    seen = [wire.protocol.connected]
    wire.deliver(wire.server.say())
    await wire.tls.opened()
    assert [*seen, wire.protocol.connected] == [False, True]
    shown = wire.tls.get_extra_info("ssl_object")
    assert isinstance(shown, ssl.SSLObject)
    assert shown.getpeercert()


async def test_a_handshake_that_fails_raises_and_sends_its_alert(tmp_path: Path) -> None:
    """The server's log then says why."""
    ours, _ = loopback_contexts(tmp_path)
    wire = Wire((ours, ssl.create_default_context()))
    wire.shake_hands()
    with pytest.raises(ssl.SSLCertVerificationError, match="self-signed"):
        await wire.tls.opened()
    with pytest.raises(ssl.SSLError, match=r"(?i)unknown[ _]ca"):
        wire.collect()
    assert not wire.protocol.connected


async def test_a_connection_lost_in_the_handshake_is_no_verdict_on_tls(contexts: Contexts) -> None:
    """It is an OSError that is no SSLError, and the protocol was never connected."""
    for lost, words in ((None, "in the TLS handshake"), (OSError(5, "gone"), "gone")):
        wire = Wire(contexts)
        wire.tls.connection_lost(lost)
        with pytest.raises(OSError, match=words) as caught:
            await wire.tls.opened()
        assert not isinstance(caught.value, ssl.SSLError)
        assert wire.protocol.lost == []


async def test_who_waits_for_a_handshake_may_give_up(contexts: Contexts) -> None:
    """The connection ends with it."""
    wire = Wire(contexts)
    opening = asyncio.ensure_future(wire.tls.opened())
    await asyncio.sleep(0)
    opening.cancel()
    await asyncio.wait({opening})
    assert wire.transport.aborted
    wire.tls.connection_lost(None)


@pytest.mark.parametrize("version", BOTH_VERSIONS)
async def test_a_second_connection_resumes_the_session_of_the_first(
    contexts: Contexts, version: ssl.TLSVersion
) -> None:
    """Ticket or not, it was verified once."""
    contexts[0].maximum_version = version
    sessions = Sessions()
    reused = []
    for _ in range(3):
        wire = Wire(contexts, sessions)
        wire.shake_hands()
        wire.deliver(wire.server.say(b"hello"))
        assert wire.protocol.content == b"hello"
        reused.append(wire.server.tls.session_reused)
    assert reused == [False, True, True]


async def test_after_an_hour_the_certificate_is_verified_again(contexts: Contexts) -> None:
    """Resuming does not prolong it."""
    sessions = Sessions()
    reused = []
    for minutes in (0, 40, 40):
        turn(minutes * 60.0)
        wire = Wire(contexts, sessions)
        wire.shake_hands()
        wire.deliver(wire.server.say(b"hello"))
        reused.append(wire.server.tls.session_reused)
    assert reused == [False, True, False]


async def test_a_session_that_the_server_does_not_know_is_replaced(
    contexts: Contexts, tmp_path: Path
) -> None:
    """It restarted, with other keys for its tickets: the next one resumes the new session."""
    sessions = Sessions()
    ours, theirs = contexts
    restarted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    restarted.load_cert_chain(tmp_path / "loopback.pem")
    reused = []
    for server in (ours, restarted, restarted):
        wire = Wire((server, theirs), sessions)
        wire.shake_hands()
        wire.deliver(wire.server.say(b"hello"))
        reused.append(wire.server.tls.session_reused)
    assert reused == [False, False, True]


async def test_a_session_whose_handshake_failed_is_not_offered_again(contexts: Contexts) -> None:
    """A server that cannot resume may fail instead of asking for a full handshake."""
    sessions = Sessions()
    wire = Wire(contexts, sessions)
    wire.shake_hands()
    wire.deliver(wire.server.say(b"hello"))
    now = asyncio.get_running_loop().time()
    assert sessions.kept(now) is not None
    wire = Wire(contexts, sessions)
    wire.deliver(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert sessions.kept(now) is None


async def test_a_head_and_its_body_are_one_record_and_one_write(contexts: Contexts) -> None:
    """They come as one piece, and up to 16 KiB leave as one."""
    wire = Wire(contexts)
    wire.shake_hands()
    wire.tls.write(b"x" * 16_384)
    assert wire.transport.written[:3] == b"\x17\x03\x03"
    assert 5 + int.from_bytes(wire.transport.written[3:5]) == len(wire.transport.written)
    assert wire.collect() == b"x" * 16_384


async def test_records_that_come_together_are_passed_on_together(contexts: Contexts) -> None:
    """A call for each would cost more than joining them."""
    wire = Wire(contexts)
    wire.shake_hands()
    wire.deliver(b"".join(wire.server.say(each) for each in (b"a", b"b", b"c" * 40_000)))
    assert wire.protocol.parts == [b"ab" + b"c" * 40_000]


async def test_what_the_server_says_right_behind_its_handshake_arrives(contexts: Contexts) -> None:
    """In one piece with it, as TLS 1.2 allows."""
    contexts[0].maximum_version = ssl.TLSVersion.TLSv1_2
    wire = Wire(contexts)
    wire.collect()
    wire.deliver(wire.server.say())
    wire.collect()
    wire.deliver(wire.server.say(b"first"))
    assert wire.protocol.content == b"first"


@pytest.mark.parametrize("version", BOTH_VERSIONS)
async def test_close_notify_goes_both_ways(contexts: Contexts, version: ssl.TLSVersion) -> None:
    """The server's is the end of its stream, and is answered with ours."""
    contexts[0].maximum_version = version
    wire = Wire(contexts)
    wire.shake_hands()
    wire.deliver(wire.server.say(b"bye") + wire.server.close())
    assert (wire.protocol.content, wire.protocol.ended) == (b"bye", True)
    assert wire.transport.closed
    assert (wire.collect(), wire.server.closed) == (b"", True)


async def test_an_end_that_came_with_the_last_bytes_is_passed_on_when_more_is_read(
    contexts: Contexts,
) -> None:
    """As on a plain transport, whose end is not read before."""
    wire = Wire(contexts)
    wire.shake_hands()
    wire.tls.pause_reading()
    wire.deliver(wire.server.say(b"bye") + wire.server.close())
    before = (wire.protocol.content, wire.protocol.ended)
    wire.tls.resume_reading()
    await asyncio.sleep(0)
    assert (*before, wire.protocol.ended) == (b"bye", False, True)
    assert wire.transport.closed


async def test_an_end_below_tls_is_reported_as_none(contexts: Contexts) -> None:
    """The protocol loses its connection, without an end of the stream."""
    wire = Wire(contexts)
    wire.shake_hands()
    wire.deliver(wire.server.say(b"he"))
    wire.tls.eof_received()
    wire.tls.connection_lost(None)
    assert (wire.protocol.content, wire.protocol.ended) == (b"he", False)
    assert wire.protocol.lost == [None]


async def test_a_broken_record_ends_the_connection_behind_what_was_whole(
    contexts: Contexts,
) -> None:
    """And the protocol learns of it when the connection is lost."""
    wire = Wire(contexts)
    wire.shake_hands()
    whole, broken = wire.server.say(b"whole"), bytearray(wire.server.say(b"broken"))
    broken[-1] ^= 1
    wire.deliver(whole + bytes(broken))
    assert wire.transport.aborted
    wire.tls.connection_lost(None)
    assert wire.protocol.content == b"whole"
    assert [type(each) for each in wire.protocol.lost] == [ssl.SSLError]


async def test_nothing_is_written_behind_our_close_notify(contexts: Contexts) -> None:
    """The protocol may not know yet that the connection ends."""
    wire = Wire(contexts)
    wire.shake_hands()
    wire.tls.close()
    wire.tls.write(b"late")
    wire.tls.close()
    assert (wire.collect(), wire.server.closed) == (b"", True)
    assert not wire.transport.aborted


async def test_back_pressure_is_passed_on_once_there_is_a_protocol(contexts: Contexts) -> None:
    """Both ways; in the handshake there is nothing to hold back."""
    wire = Wire(contexts)
    wire.tls.pause_writing()
    wire.tls.resume_writing()
    assert wire.protocol.writable == []
    wire.shake_hands()
    wire.tls.pause_writing()
    wire.tls.resume_writing()
    assert wire.protocol.writable == [False, True]
    wire.tls.pause_reading()
    assert not wire.transport.reading
    wire.tls.resume_reading()
    assert wire.transport.reading


async def test_a_server_that_does_not_read_our_alerts_is_cut_off(contexts: Contexts) -> None:
    """OpenSSL answers some of what comes (a request to renegotiate): in bounded memory."""
    wire = Wire(contexts)
    wire.shake_hands()
    for waiting, cut_off in ((1 << 20, False), (2 << 20, True)):
        wire.transport.waiting = waiting
        wire.tls._outgoing.write(b"alert")
        wire.deliver(wire.server.say(b"x"))
        assert wire.transport.aborted is cut_off
    wire.tls.connection_lost(None)
    assert isinstance(wire.protocol.lost[0], ConnectionAbortedError)


async def test_a_lost_connection_leaves_no_circle(contexts: Contexts) -> None:
    """Its memory, OpenSSL's included, is free at once and not when the collector comes."""
    wire = Wire(contexts)
    wire.shake_hands()
    protocol = weakref.ref(wire.protocol)
    wire.tls.connection_lost(None)
    tls = wire.tls
    del wire
    assert protocol() is None
    tls.connection_lost(None)
