"""A metered realtime connection, event by event."""

from __future__ import annotations

import json

import pytest
from websockets.frames import Frame, Opcode

from sidecar.domain.usage import MissingCause, Tokens, Usage
from sidecar.usage.realtime.commands import (
    ChargeTranscript,
    CloseSocket,
    SendToClient,
    SendToProduct,
    SocketCommand,
    TakeDeposit,
)
from sidecar.usage.realtime.frame_writer import Refusal, close_frame, error_event
from sidecar.usage.realtime.frames import LONGEST_MESSAGE
from sidecar.usage.realtime.metered_socket import MeteredSocket
from sidecar.usage.realtime.turns import MAX_TURNS, MOST_TURNS, SettleTurn

REFUSAL = Refusal("insufficient_quota", "insufficient_quota", "The quota is spent.")
PING = Frame(Opcode.PING, b"").serialize(mask=True)
CREATE = {"type": "response.create", "event_id": "e1"}
TRANSCRIBED = "conversation.item.input_audio_transcription.completed"
APPEND = {"type": "input_audio_buffer.append", "audio": "AAAA"}


def up(event: object) -> bytes:
    """Write an event of the client."""
    return Frame(Opcode.TEXT, json.dumps(event).encode()).serialize(mask=True)


def down(kind: str, response_id: str) -> bytes:
    """Write an event of the product."""
    event = {"type": f"response.{kind}", "response": {"id": response_id}}
    return Frame(Opcode.TEXT, json.dumps(event).encode()).serialize(mask=False)


def connection(*, enforced: bool = True) -> MeteredSocket:
    """Open a connection without compression."""
    return MeteredSocket(agreed=None, model=None, enforced=enforced)


def refusal(caused_by: str | None) -> list[SocketCommand]:
    """Return how a connection is ended over quota."""
    return [
        SendToClient(error_event(REFUSAL, number=1, caused_by=caused_by)),
        SendToClient(close_frame(1008, REFUSAL.message)),
        CloseSocket(),
    ]


def test_a_create_is_held_until_it_is_paid_and_all_behind_it() -> None:
    """In order."""
    socket = connection()
    create, append = up(CREATE), up(APPEND)
    request = json.dumps(CREATE).encode()
    commands = socket.from_client(append + create + append)
    assert commands == [SendToProduct(append), TakeDeposit(1, request)]
    assert socket.client_waits
    assert socket.from_client(PING) == []
    expected = [SendToProduct(create), SendToProduct(append), SendToProduct(PING)]
    assert socket.paid(1) == expected
    assert not socket.client_waits


def test_a_transcript_is_charged_by_the_model_that_wrote_it() -> None:
    """Beside the responses; where it names seconds, by its text."""
    socket = connection()
    transcription = {"transcription": {"model": "gpt-transcribe"}}
    events: list[dict[str, object]] = [
        {"type": "session.updated", "session": {"model": "m", "audio": {"input": transcription}}},
        {"type": TRANSCRIBED, "transcript": "four", "usage": {"input_tokens": 9}},
        {"type": TRANSCRIBED, "transcript": "four", "usage": {"seconds": 2.0}},
    ]
    frames = b"".join(
        Frame(Opcode.TEXT, json.dumps(event).encode()).serialize(mask=False) for event in events
    )
    charged = [each for each in socket.from_product(frames) if isinstance(each, ChargeTranscript)]
    assert [each.usage for each in charged] == [
        Usage(Tokens(9), None, "gpt-transcribe", 4, None),
        Usage(None, None, "gpt-transcribe", 4, MissingCause.ABSENT),
    ]
    assert not socket.idle


def test_a_connection_is_closed_by_the_code_of_its_refusal() -> None:
    """1013: the client may try again."""
    socket = connection()
    socket.from_client(up(CREATE))
    busy = Refusal("server_error", "overloaded", "Too much is under way.", 1013)
    assert socket.refused(1, busy)[1] == SendToClient(close_frame(1013, busy.message))


def test_a_refused_create_ends_a_quiet_connection_at_once() -> None:
    """The error names the client's event."""
    socket = connection()
    socket.from_client(up(CREATE))
    assert socket.refused(1, REFUSAL) == refusal("e1")
    assert socket.from_client(up(APPEND)) == []
    assert socket.from_product(down("created", "r1")) == []
    assert socket.unsettled == 0


def test_an_event_id_that_cannot_be_written_does_not_keep_a_connection_open() -> None:
    """Half a surrogate pair is JSON, and no text: the error names no event."""
    socket = connection()
    socket.from_client(up(CREATE | {"event_id": "\ud800"}))
    assert socket.refused(1, REFUSAL) == refusal(None)


@pytest.mark.parametrize("kind", ["created", "done"])
def test_a_product_that_begins_responses_without_end_is_left(kind: str) -> None:
    """Each takes a deposit, and none of these has an answer yet."""
    socket = connection()
    for number in range(MOST_TURNS - 1):
        socket.from_product(down(kind, f"r{number}"))
    commands = socket.from_product(down(kind, "last"))
    assert [each for each in commands if isinstance(each, CloseSocket)]
    assert socket.from_product(down(kind, "more")) == []
    assert socket.unsettled == MOST_TURNS


def test_in_shadow_no_more_responses_are_followed_than_that() -> None:
    """The connection goes on."""
    socket = connection(enforced=False)
    for number in range(MOST_TURNS + 9):
        sent = down("created", f"r{number}")
        assert socket.from_product(sent)[0] == SendToClient(sent)
    assert socket.unsettled == MOST_TURNS


def test_a_refused_create_waits_for_the_response_that_runs() -> None:
    """What follows that response is not passed on."""
    socket = connection()
    socket.from_client(up(CREATE))
    socket.paid(1)
    socket.from_product(down("created", "r1"))
    socket.from_client(up(CREATE) + up(APPEND) + PING)
    assert socket.refused(2, REFUSAL) == [SendToProduct(PING)]
    done = down("done", "r1")
    first, settled, *rest = socket.from_product(done + down("created", "r2"))
    assert first == SendToClient(done)
    assert isinstance(settled, SettleTurn)
    assert rest == refusal("e1")


def test_a_refusal_waits_for_the_end_of_a_message() -> None:
    """A frame of ours in the middle of another's would break both."""
    socket = connection()
    socket.from_client(up(CREATE))
    text = down("output_text", "r1")
    socket.from_product(text[:5])
    assert socket.refused(1, REFUSAL) == []
    assert socket.from_product(text[5:]) == [SendToClient(text[5:]), *refusal("e1")]


def test_a_response_that_the_server_starts_passes_while_it_is_charged() -> None:
    """A refusal waits for its end."""
    socket = connection()
    created, done = down("created", "r1"), down("done", "r1")
    assert socket.from_product(created) == [SendToClient(created), TakeDeposit(1, None)]
    assert socket.refused(1, REFUSAL) == []
    passed, settled, *rest = socket.from_product(done)
    assert passed == SendToClient(done)
    assert isinstance(settled, SettleTurn)
    assert not settled.paid
    assert rest == refusal(None)


def test_a_response_whose_beginning_was_not_seen_is_charged_at_its_end() -> None:
    """None is free."""
    socket = connection()
    _, deposit = socket.from_product(down("done", "r1"))
    assert deposit == TakeDeposit(1, None)
    (settled,) = socket.paid(1)
    assert isinstance(settled, SettleTurn)


@pytest.mark.parametrize(
    "echo",
    [
        {"type": "conversation.item.created", "item": {"text": "response.done"}},
        {"type": "session.updated", "session": {"tools": [{"type": "response.done"}]}},
    ],
)
def test_a_long_event_that_repeats_what_its_client_wrote_ends_no_response(
    echo: dict[str, object],
) -> None:
    """Else a client could have a response settled before its usage is named."""
    socket = connection()
    socket.from_client(up(CREATE))
    socket.paid(1)
    socket.from_product(down("created", "r1"))
    long = json.dumps(echo | {"pad": "x" * LONGEST_MESSAGE}, separators=(",", ":"))
    written = Frame(Opcode.TEXT, long.encode()).serialize(mask=False)
    assert socket.from_product(written) == [SendToClient(written)]
    _, settled = socket.from_product(down("done", "r1"))
    assert isinstance(settled, SettleTurn)


@pytest.mark.parametrize("members", [{}, {"event_id": "event_1"}])
def test_a_response_ends_with_an_event_that_is_too_long_to_be_read(
    members: dict[str, object],
) -> None:
    """It is charged by an estimate."""
    socket = connection()
    socket.from_client(up(CREATE))
    socket.paid(1)
    socket.from_product(down("created", "r1"))
    done = members | {"type": "response.done", "pad": "x" * LONGEST_MESSAGE}
    written = Frame(Opcode.TEXT, json.dumps(done).encode()).serialize(mask=False)
    _, settled = socket.from_product(written)
    assert isinstance(settled, SettleTurn)
    assert settled.usage == Usage(None, None, None, 0, MissingCause.TOO_LARGE)


def test_a_create_that_is_too_long_to_be_read_is_held_by_its_end() -> None:
    """Refused, it is never completed: no control frame may follow the bytes that have left."""
    socket = connection()
    create = up(CREATE | {"pad": "x" * LONGEST_MESSAGE})
    passed = b""
    deposits = []
    for at in range(0, len(create), 65536):
        for command in socket.from_client(create[at : at + 65536]):
            if isinstance(command, SendToProduct):
                passed += command.data
            else:
                deposits.append(command)
    assert deposits == [TakeDeposit(1, None)]
    assert create.startswith(passed)
    assert len(passed) < len(create)
    socket.from_product(down("created", "r1"))
    assert socket.refused(1, REFUSAL) == []
    assert socket.from_client(PING) == []


def test_control_frames_pass_again_behind_a_long_create_that_was_paid() -> None:
    """It is whole at the product, so a ping completes nothing."""
    socket = connection()
    create = up(CREATE | {"pad": "x" * LONGEST_MESSAGE})
    socket.from_client(create)
    socket.paid(1)
    socket.from_product(down("created", "r1"))
    socket.from_client(up(CREATE))
    assert socket.refused(2, REFUSAL) == []
    assert socket.from_client(PING) == [SendToProduct(PING)]


def test_creates_that_get_no_response_are_bounded() -> None:
    """Each of them was paid for."""
    socket = connection()
    settled = 0
    for turn in range(1, MAX_TURNS + 3):
        socket.from_client(up(CREATE))
        settled += sum(isinstance(command, SettleTurn) for command in socket.paid(turn))
    assert (settled, socket.unsettled) == (2, MAX_TURNS)


def test_a_create_that_is_held_when_a_response_is_refused_is_given_back() -> None:
    """Its deposit comes too late."""
    socket = connection()
    socket.from_client(up(CREATE))
    socket.from_product(down("created", "r1"))
    assert socket.refused(2, REFUSAL) == []
    (given_back,) = socket.paid(1)
    assert isinstance(given_back, SettleTurn)
    assert given_back.attempt == "unreached"


def test_nothing_is_sent_behind_the_products_close() -> None:
    """Only the connection is closed."""
    socket = connection()
    socket.from_product(close_frame(1000, ""))
    socket.from_client(up(CREATE))
    assert socket.refused(1, REFUSAL) == [CloseSocket()]


def test_a_close_of_the_client_passes() -> None:
    """What it sends behind that does not."""
    socket = connection()
    close = Frame(Opcode.CLOSE, b"").serialize(mask=True)
    assert socket.from_client(close + up(CREATE)) == [SendToProduct(close)]


@pytest.mark.parametrize("enforced", [True, False])
def test_a_client_that_sends_no_websocket_is_closed_where_rules_are_enforced(
    *, enforced: bool
) -> None:
    """In shadow it passes, byte for byte."""
    socket = connection(enforced=enforced)
    commands = socket.from_client(b"\x7f\x7fhello") + socket.from_client(b"more")
    if enforced:
        answer, closed = commands
        assert isinstance(answer, SendToClient)
        assert answer.data[2:4] == (1002).to_bytes(2, "big")
        assert isinstance(closed, CloseSocket)
    else:
        sent = [command.data for command in commands if isinstance(command, SendToProduct)]
        assert b"".join(sent) == b"\x7f\x7fhellomore"
        assert len(sent) == len(commands)


@pytest.mark.parametrize("enforced", [True, False])
def test_a_product_that_sends_no_websocket_is_closed_where_rules_are_enforced(
    *, enforced: bool
) -> None:
    """Its responses could not be seen."""
    commands = connection(enforced=enforced).from_product(b"\x7f\x7fhello")
    assert isinstance(commands[-1], CloseSocket) is enforced
    if not enforced:
        assert commands == [SendToClient(b"\x7f\x7fhello")]


def test_a_lost_connection_settles_what_runs() -> None:
    """And again nothing."""
    socket = connection()
    socket.from_client(up(CREATE))
    socket.paid(1)
    (settled,) = socket.lost()
    assert isinstance(settled, SettleTurn)
    assert socket.lost() == []
    assert socket.unsettled == 0
