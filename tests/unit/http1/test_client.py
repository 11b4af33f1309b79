"""What one connection makes of any answer: table-driven, cut at every byte, without a network."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sidecar.http1.client import ClientConnection, ResponseHandler
from sidecar.http1.errors import PeerFailure
from tests.fakes.handlers import BrokenHandler, QuittingHandler, RecordingHandler
from tests.unit.http1.answer_vectors import FAILED, HELLO, WHOLE
from tests.unit.http1.line import Line, Outcome, outcome

ANSWERS = {**WHOLE, **FAILED}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_answer_is_told(name: str) -> None:
    """Content and interim answers come through, and nothing of what follows."""
    answer = WHOLE[name]
    seen = outcome(answer, [answer.data])
    assert (seen.whole, seen.content, seen.interim) == (True, answer.content, answer.interim)


@pytest.mark.parametrize("name", WHOLE)
def test_a_connection_is_kept_only_when_it_is_clean(name: str) -> None:
    """The next answer on it could not be mistaken for anything else."""
    answer = WHOLE[name]
    assert outcome(answer, [answer.data]).kept is answer.kept


@pytest.mark.parametrize("name", FAILED)
def test_a_broken_answer_is_a_failure(name: str) -> None:
    """An answer that is not whole never looks whole, and its connection is never used again."""
    answer = FAILED[name]
    seen = outcome(answer, [answer.data])
    assert (seen.failure, seen.whole, seen.kept) == (answer.failure, False, False)


@pytest.mark.parametrize("name", ANSWERS)
def test_a_cut_changes_nothing(name: str) -> None:
    """Cut in two anywhere, or at every byte, an answer has the same end.

    A broken body may have come further before the fault was seen.
    """
    answer = ANSWERS[name]
    data = answer.data

    def end(pieces: list[bytes]) -> Outcome:
        seen = outcome(answer, pieces)
        if answer.failure is PeerFailure.PROTOCOL:
            return Outcome(
                seen.interim, seen.status, answer.content, (), seen.whole, seen.failure, seen.kept
            )
        return seen

    whole = end([data])
    cuts = {cut for cut in range(1, len(data)) if end([data[:cut], data[cut:]]) != whole}
    assert (cuts, end([data[at : at + 1] for at in range(len(data))])) == (set(), whole)


def test_a_broken_body_is_never_passed_on_beyond_its_fault() -> None:
    """Byte by byte, what came before a bad chunk is all that is told."""
    answer = FAILED["a bad chunk after a good one"]
    assert outcome(answer, [bytes([byte]) for byte in answer.data]).content == b"5\r\nhello\r\n"


def test_a_chunked_body_is_decoded_on_demand() -> None:
    """Who asks for plain data gets no framing."""
    answer = WHOLE["chunked with trailers"]
    seen = outcome(answer, [answer.data], decode=True)
    assert (seen.content, seen.trailers) == (b"hello", ((b"x", b"y"),))


def test_a_part_is_passed_on_as_it_comes() -> None:
    """A stream does not wait for its end."""
    line, handler = Line(), RecordingHandler()
    line.ask(handler)
    line.hear(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhel", b"lo")
    assert (handler.parts, handler.content, handler.whole) == (2, b"hello", False)


def test_a_head_is_followed_at_once_by_its_body() -> None:
    """A handler that holds the head back is told at once that there is no more yet."""
    line, handler = Line(), RecordingHandler()
    line.ask(handler)
    line.hear(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
    assert (handler.parts, handler.content) == (1, b"")


def test_an_unfinished_request_ends_its_connection() -> None:
    """The rest of its body would be read as the next request."""
    line, handler = Line(), RecordingHandler()
    line.ask(handler, "POST", complete=False)
    line.hear(HELLO)
    assert (handler.whole, line.kept) == (True, False)


def test_a_request_finished_meanwhile_keeps_its_connection() -> None:
    """The owner says when the body is out."""
    line, handler = Line(), RecordingHandler()
    line.ask(handler, "POST", complete=False)
    line.connection.write(handler, b"body")
    line.connection.complete_request(handler)
    line.hear(HELLO)
    assert line.kept


def test_a_request_unread_by_its_server_ends_the_connection() -> None:
    """What still waits to be written would be in the way of the next request."""
    line, handler = Line(), RecordingHandler()
    line.ask(handler, "POST")
    line.connection.pause_writing()
    line.hear(HELLO)
    assert (handler.whole, line.kept) == (True, False)


def test_a_request_read_at_last_keeps_the_connection() -> None:
    """Back-pressure that has ended leaves no mark."""
    line, handler = Line(), RecordingHandler()
    line.ask(handler, "POST")
    line.connection.pause_writing()
    line.connection.resume_writing()
    line.hear(HELLO)
    assert (handler.writable, line.kept) == ([False, True], True)


@pytest.mark.parametrize("late", [b"x", b"\r\n", HELLO])
def test_bytes_between_two_exchanges_end_the_connection(late: bytes) -> None:
    """They would be read as the answer to the next request."""
    line, handler = Line(), RecordingHandler()
    line.ask(handler)
    line.hear(HELLO, late)
    assert (line.released, line.kept, line.lost) == (1, False, 1)


def test_a_second_exchange_is_clean() -> None:
    """Nothing of the first is left: not its interim answers, not its body."""
    line = Line()
    for status in (b"200", b"204", b"404"):
        handler = RecordingHandler()
        line.ask(handler)
        line.hear(b"HTTP/1.1 100 X\r\n\r\n" * 16 + b"HTTP/1.1 " + status + b" X\r\n")
        line.hear(b"Content-Length: 0\r\n\r\n")
        assert (handler.whole, len(handler.interim)) == (True, 16)
    assert (line.released, line.kept) == (3, True)


def test_a_connection_lost_while_idle_tells_no_handler() -> None:
    """The exchange before is over; only the owner has to know."""
    line, handler = Line(), RecordingHandler()
    line.ask(handler)
    line.hear(HELLO, closes=True)
    assert (handler.failure, line.lost) == (None, 1)


@pytest.mark.parametrize("at", ["interim", "head", "body"])
def test_a_handler_that_gave_up_hears_no_more(at: str) -> None:
    """After `abort` comes nothing, though the rest of the answer is there already."""
    line, handler = Line(), QuittingHandler(at)
    handler.connection = line.connection
    line.ask(handler)
    line.hear(b"HTTP/1.1 103 X\r\n\r\n" + HELLO[:-1], b"o")
    assert (handler.whole, line.transport.aborted, line.lost) == (False, True, 1)


def test_the_place_is_free_before_the_handler_is_told() -> None:
    """A handler that breaks does not keep its owner from hearing."""
    line, handler = Line(), BrokenHandler()
    line.ask(handler)
    with pytest.raises(RuntimeError, match="breaks"):
        line.connection.connection_lost(None)
    assert line.lost == 1


def test_a_reset_in_a_body_until_close_cuts_it_off() -> None:
    """Only an end of stream ends such a body; a reset does not."""
    line, handler = Line(), RecordingHandler()
    line.ask(handler)
    line.hear(b"HTTP/1.1 200 OK\r\n\r\nhello")
    line.connection.connection_lost(ConnectionResetError())
    assert (handler.whole, handler.failure) == (False, PeerFailure.CUT_OFF)


def test_a_switch_of_protocols_opens_a_tunnel() -> None:
    """After a 101 every byte is the tunnel's, until the stream ends; then the connection does."""
    line, handler = Line(), RecordingHandler()
    line.ask(handler)
    line.hear(
        b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n\x81\x02",
        HELLO,
        closes=True,
    )
    assert (handler.content, handler.whole, line.kept) == (b"\x81\x02" + HELLO, True, False)


def test_an_owner_that_goes_cuts_the_exchange_off() -> None:
    """Who waits for an answer is told, once."""
    line, handler = Line(), RecordingHandler()
    line.ask(handler)
    line.connection.cut_off()
    line.hear()
    assert (handler.failure, line.transport.aborted) == (PeerFailure.CUT_OFF, True)


def test_an_expired_exchange_ends_at_once() -> None:
    """The server is not waited for any longer."""
    line, handler = Line(), RecordingHandler()
    line.ask(handler)
    line.connection.expire(PeerFailure.FIRST_BYTE_TIMEOUT)
    assert (handler.failure, line.transport.aborted) == (PeerFailure.FIRST_BYTE_TIMEOUT, True)


async def test_a_deadline_ends_with_the_head() -> None:
    """It is for the first byte of the answer; a stream may take as long as it likes."""
    line, handler = Line(), RecordingHandler()
    line.ask(handler)
    line.connection.expire_after(handler, 60)
    line.hear(HELLO[:-1])
    assert line.connection.deadline == float("inf")


async def test_a_deadline_does_not_outlive_its_exchange() -> None:
    """The next exchange sets its own, or has none."""
    line, handler = Line(), RecordingHandler()
    line.ask(handler)
    line.connection.expire_after(handler, 60)
    line.hear(HELLO)
    assert (line.connection.deadline, line.released) == (float("inf"), 1)


STEPS_OF_A_FORMER_HANDLER: dict[str, Callable[[ClientConnection, ResponseHandler], None]] = {
    "abort": lambda connection, former: connection.abort(former),
    "leave": lambda connection, former: connection.leave(former),
    "fail": lambda connection, former: connection.fail(former, PeerFailure.IDLE_TIMEOUT),
    "write": lambda connection, former: connection.write(former, b"x"),
    "expire_after": lambda connection, former: connection.expire_after(former, 0.0),
    "pause_reading": lambda connection, former: connection.pause_reading(former),
}


@pytest.mark.parametrize("step", STEPS_OF_A_FORMER_HANDLER)
async def test_a_former_handler_cannot_touch_the_exchange_of_another(step: str) -> None:
    """Its exchange has ended, and the connection carries another one by now (conformance 58)."""
    line, former, handler = Line(), RecordingHandler(), RecordingHandler()
    line.ask(former)
    line.hear(HELLO)
    line.ask(handler)
    written = line.transport.written
    STEPS_OF_A_FORMER_HANDLER[step](line.connection, former)
    assert line.transport.written == written
    assert not line.transport.aborted
    assert line.transport.is_reading()
    assert line.connection.deadline == float("inf")
    line.hear(HELLO)
    assert handler.whole


async def test_a_former_handler_cannot_complete_the_request_of_another() -> None:
    """A request of which a part is still unsent would let the connection be used again."""
    line, former, handler = Line(), RecordingHandler(), RecordingHandler()
    line.ask(former)
    line.hear(HELLO)
    line.ask(handler, complete=False)
    line.connection.complete_request(former)
    line.hear(HELLO)
    assert line.released == 1  # by the former alone


def test_a_connection_that_was_paused_is_read_again_in_its_pool() -> None:
    """Its next exchange would wait for an answer for ever."""
    line, handler = Line(), RecordingHandler()
    line.ask(handler)
    line.connection.pause_reading(handler)
    assert not line.transport.is_reading()
    line.hear(HELLO)
    assert (line.transport.is_reading(), line.released) == (True, 1)
