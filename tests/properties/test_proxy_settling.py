"""Settled streams on the data plane: however they come, they are read and passed alike."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.model import AttemptEnd
from sidecar.domain.usage import Estimate, Terms, Usage
from sidecar.http1.framing import ChunkedBody
from sidecar.http1.heads import CHUNKED, UNTIL_CLOSE
from sidecar.http1.response_heads import ResponseHead
from sidecar.proxy.settling import Settling
from sidecar.usage.settled_answer import SettledAnswer
from tests.unit.admission.usage_rules import rule

TERMS = Terms(rule(request_usage=True), Estimate(0, None, None), 0, forgive=False)
FIELDS = [(b"content-type", b"text/event-stream")]
ID = b'data: {"id":"chatcmpl-0123456789","object":"chat.completion.chunk","model":"m",'
TEXTS = st.sampled_from([b"", b"a", b" word", b"\\n", b'\\"', b"\\u00fc", b"ten thousand"])
EVENTS = st.one_of(
    TEXTS.map(lambda text: ID + b'"choices":[{"delta":{"content":"' + text + b'"}}]}\n\n'),
    TEXTS.map(
        lambda text: (
            ID
            + b'"choices":[{"delta":{"content":"'
            + text
            + b'"}}],"usage":null,"obfuscation":"xY'
            + b"z" * len(text)
            + b'"}\n\n'
        )
    ),
    st.sampled_from(
        [
            ID + b'"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n',
            ID + b'"choices":[{"delta":{"content":"a"}},{"delta":{"content":"b"}}]}\n\n',
            ID + b'"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}\n\n',
            ID + b'"choices":[{"delta":{}}],"usage":{"prompt_tokens":1}}\n\n',
            ID + b'"choices":[{"delta":{"content":"}}]}\n\n',
            b": ping\n\n",
            b"data: [DONE]\n\n",
            b'data: {"content":"cut \r\n\r\n',
        ]
    ),
)
STREAMS = st.lists(
    st.tuples(EVENTS, st.integers(1, 20)).map(lambda each: [each[0]] * each[1]), max_size=8
).map(lambda runs: [event for run in runs for event in run])


def defined(stream: bytes, *, asks: bool) -> tuple[bytes, tuple[AttemptEnd, Usage | None]]:
    """Return what passes of a stream that comes in one piece, and what is read of it."""
    answer = SettledAnswer(TERMS)
    if asks:
        answer.asking_body(b"/chat/completions", [], b'{"stream":true}')
    answer.began(200, FIELDS)
    return answer.end(stream), answer.result(AttemptEnd.DONE)


def begun(*, asks: bool, chunked: bool) -> Settling:
    """Return the settling of an answer whose head has come."""
    settling = Settling(TERMS)
    if asks:
        settling.asking_body(b"/chat/completions", [], b'{"stream":true}')
    length = CHUNKED if chunked else UNTIL_CLOSE
    head = ResponseHead(200, b"OK", 1, FIELDS, length, True, frozenset(), False)
    settling.begin(head, chunked=chunked)
    return settling


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut data at some of its places."""
    places = sorted({at % (len(data) + 1) for at in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(places)]


@given(events=STREAMS, asks=st.booleans(), cuts=st.lists(st.integers(0, 10**6), max_size=6))
def test_a_stream_without_chunks_is_read_as_in_one_piece(
    *, events: list[bytes], asks: bool, cuts: list[int]
) -> None:
    """Event by event, and cut anywhere."""
    stream = b"".join(events)
    for parts in (events, cut(stream, cuts)):
        settling = begun(asks=asks, chunked=False)
        passed = b"".join([settling.feed(part) for part in parts]) + settling.end(b"")
        assert (passed, settling.ended(AttemptEnd.DONE)) == defined(stream, asks=asks)


@given(
    events=STREAMS,
    asks=st.booleans(),
    in_events=st.booleans(),
    chunk_cuts=st.lists(st.integers(0, 10**6), max_size=6),
    at_once=st.integers(1, 6),
    cuts=st.none() | st.lists(st.integers(0, 10**6), max_size=6),
)
def test_chunks_are_read_as_in_one_piece(
    *,
    events: list[bytes],
    asks: bool,
    in_events: bool,
    chunk_cuts: list[int],
    at_once: int,
    cuts: list[int] | None,
) -> None:
    """What passes is chunked as well, whatever the chunks are, and however they come."""
    stream = b"".join(events)
    chunks = [part for part in (events if in_events else cut(stream, chunk_cuts)) if part]
    framed = [b"%x\r\n%b\r\n" % (len(part), part) for part in chunks]
    bursts = [b"".join(framed[at : at + at_once]) for at in range(0, len(framed), at_once)]
    parts = bursts if cuts is None else cut(b"".join(framed), cuts)
    client, product = ChunkedBody(decode=True), ChunkedBody()
    settling = begun(asks=asks, chunked=True)
    passed = b""
    for part in parts:
        passed += client.feed(settling.feed(product.feed(part)[0]))[0]
    last, _ = product.feed(b"0\r\n\r\n")
    passed += client.feed(settling.end(last) + b"0\r\n\r\n")[0]
    assert client.done
    assert (passed, settling.ended(AttemptEnd.DONE)) == defined(stream, asks=asks)
