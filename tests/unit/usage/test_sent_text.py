"""Text that goes to the client is counted by its bytes."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.usage.sent_text import SentText


def count(*pieces: bytes, keys: tuple[str, ...] = ("content", "text")) -> int:
    """Return the bytes of text in these pieces."""
    sent = SentText(keys)
    for piece in pieces:
        sent.feed(piece)
    return sent.total


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (b'{"content":"abc"}', 3),
        (b'{"content": "abc", "text":"de"}', 5),
        (b'{"content":null,"text":{"content":"a"}}', 1),
        (b'{"contents":"abc","x":"content"}', 0),
        (rb'{"content":"a\"b\n"}', 4),
        (b'{"content":"abc', 3),
    ],
)
def test_strings_behind_the_keys_are_text(text: bytes, size: int) -> None:
    """A string that does not end counts as far as it goes."""
    assert count(text) == size


@given(
    texts=st.lists(
        st.tuples(st.sampled_from(["content", "text", "other"]), st.text(max_size=20)), max_size=6
    ),
    cuts=st.lists(st.integers(1, 30), max_size=20),
)
def test_a_piece_may_end_anywhere(texts: list[tuple[str, str]], cuts: list[int]) -> None:
    """In a key, between key and text, in a text, in an escape."""
    body = b"\n".join(orjson.dumps({key: text}) for key, text in texts)
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(body[at : at + cut])
        at += cut
    escapes = body.count(b"\\") * 6
    assert abs(count(*pieces, body[at:]) - count(body)) <= escapes
