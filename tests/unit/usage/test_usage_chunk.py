"""The usage chunk is taken out of a stream, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.usage.usage_chunk import UsageChunkFilter
from tests.unit.usage.samples import (
    CHAT_STREAM,
    CHAT_USAGE,
    USAGE_CHUNK,
    chat_choice,
    chat_chunk,
    event,
)


def filtered(*parts: bytes) -> bytes:
    """Return what of a stream goes to the client."""
    chunks = UsageChunkFilter()
    return b"".join(chunks.feed(part) for part in parts) + chunks.end()


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_the_chunk_is_taken_out(end: bytes) -> None:
    """With the blank line behind it, whatever the line ends are."""
    stream, chunk = (each.replace(b"\n", end) for each in (CHAT_STREAM, USAGE_CHUNK))
    assert filtered(stream) == stream.replace(chunk, b"")


@pytest.mark.parametrize(
    "kept",
    [
        event(chat_chunk([])),
        event(chat_chunk(chat_choice({"content": "x"}), CHAT_USAGE)),
        event(chat_chunk([]) | {"usage": "many"}),
        event({"usage": CHAT_USAGE}),
        event({"choices": [], "x": {"usage": CHAT_USAGE}}),
        b"data: [DONE]\n\n",
        b": comment\n\n",
        b"data: {\n\n",
        b'data: {"choices":[],"usage":{}\n\n',
        b'event: x\r\ndata: {"a":1}\ndata: {"choices":[],"usage":{"prompt_tokens":1}}\n\n',
    ],
)
def test_everything_else_passes(kept: bytes) -> None:
    """Azure's first chunk has no choices either, and some servers name a running total."""
    assert filtered(kept) == kept
    assert filtered(*(bytes([byte]) for byte in kept)) == kept


def test_a_line_waits_only_while_it_can_be_the_chunk() -> None:
    """An event passes with the part that ends it, and its beginning as soon as it has a choice."""
    chunks = UsageChunkFilter()
    assert chunks.feed(b"da") == b""
    assert chunks.feed(b'ta: {"choices"') == b""
    assert chunks.feed(b':[{"index":') == b'data: {"choices":[{"index":'
    assert chunks.feed(b"0}]}\n") == b"0}]}\n"
    assert chunks.feed(b"\ndata: [") == b"\ndata: ["
    assert chunks.feed(b"DONE]\n\n: x") == b"DONE]\n\n: x"


def test_a_long_line_does_not_wait() -> None:
    """The chunk is short."""
    chunks = UsageChunkFilter()
    assert chunks.feed(b'data: {"x":"' + b"x" * 20_000)
    assert not chunks.end()


def test_a_comment_in_the_chunk_s_event_passes() -> None:
    """It makes no event."""
    assert filtered(b": hi\n" + USAGE_CHUNK + b"data: 1\n\n") == b": hi\n\ndata: 1\n\n"


def test_the_chunk_may_lack_its_line_end() -> None:
    """The stream ends behind it."""
    assert filtered(USAGE_CHUNK.rstrip()) == b""


@given(
    events=st.lists(
        st.sampled_from(
            [
                USAGE_CHUNK,
                event(chat_chunk([])),
                event(chat_chunk(chat_choice({"content": '"usage":{}'}))),
                event(chat_chunk(chat_choice({"content": "x"}, "stop"), CHAT_USAGE)),
                b": comment\n\n",
                b"\n",
                b"id: 4\nevent: x\ndata: {\ndata: }\n\n",
                b"data: [DONE]\n\n",
            ]
        ),
        max_size=8,
    ),
    end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    cuts=st.lists(st.integers(1, 60), max_size=40),
)
def test_the_output_is_the_stream_less_the_chunk(
    events: list[bytes], end: bytes, cuts: list[int]
) -> None:
    """Wherever it is cut."""
    stream = b"".join(events).replace(b"\n", end)
    parts, at = [], 0
    for cut in cuts:
        parts.append(stream[at : at + cut])
        at += cut
    wanted = b"".join(each for each in events if each != USAGE_CHUNK).replace(b"\n", end)
    assert filtered(*parts, stream[at:]) == wanted


@given(parts=st.lists(st.binary(max_size=40)))
def test_bytes_that_are_no_stream_pass(parts: list[bytes]) -> None:
    """And raise nothing."""
    assert filtered(*parts) == b"".join(parts)
