"""Events that are known by their bytes: none is taken for another, and their text counts alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.usage.alike import LONGEST, AlikeEvents, alike
from sidecar.usage.sent_text import SentText, needles_of

KEYS = ("content", "text")
NEEDLES = needles_of(KEYS)


def event(text: bytes, noise: bytes = b"", extra: bytes = b"") -> bytes:
    """Return an event of a chat."""
    padding = b',"obfuscation":"' + noise + b'"' if noise else b""
    return b'data: {"id":"1","d":{"content":"' + text + b'"}' + extra + padding + b"}\n\n"


def known(first: bytes, start: int = 0, closing: bytes = b"") -> AlikeEvents:
    """Return how to know events like this one."""
    found = alike(first, NEEDLES, start, closing)
    assert found is not None
    return found


def likely(events: AlikeEvents, data: bytes) -> bool:
    """Say whether data begins and ends as such events do."""
    return data.startswith(events.before, events.start) and data.endswith(events.end)


@pytest.mark.parametrize("noise", [b"", b"aBc"])
def test_events_that_differ_in_their_text_are_alike(noise: bytes) -> None:
    """Their text is what lies between."""
    events = known(event(b"one", noise))
    parts = [event(b"", noise), event(b"three", noise * 2), event(b" \xc3\xbc.", noise)]
    assert all(likely(events, part) for part in parts)
    assert events.text_in(parts) == 0 + 5 + 4


def test_an_event_in_a_chunk_of_its_own_is_known_with_its_frame() -> None:
    """The size is in front of it, and a line end behind."""
    events = known(event(b"one"), 4, b"\r\n")
    part = b"2b\r\n" + event(b"seven") + b"\r\n"
    assert likely(events, part)
    assert events.text_in([part]) == 5


@pytest.mark.parametrize(
    "other",
    [
        event(b'x","usage":{"n":1},"y":"z'),
        event(b"a\\n"),
        event(b"a\\u00e9"),
        event(b"one", extra=b',"text":"more"'),
        event(b"one") + event(b"two"),
        event(b"one\r"),
        event(b"one\ntwo"),
    ],
)
@pytest.mark.parametrize("noise", [b"", b"abc"])
def test_any_other_event_is_not(other: bytes, noise: bytes) -> None:
    """It is read, whatever it begins and ends with."""
    events = known(event(b"one", noise))
    assert not likely(events, other) or events.text_in([other]) == -1


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"data: {}\n\n",
        event(b"one\\n"),
        event(b"one", extra=b',"text":"more"'),
        event(b"one") + event(b"two"),
        event(b"one").replace(b"\n\n", b"\r\n\r\n"),
        event(b"x" * LONGEST),
        b'data: {"content":"open\n\n',
        b'data: {"content":"one","obfuscation":"open\n\n',
    ],
)
def test_an_event_whose_text_is_not_clear_is_like_no_other(first: bytes) -> None:
    """All others are read."""
    assert alike(first, NEEDLES, 0, b"") is None


PIECES = st.lists(
    st.sampled_from(
        [b"a", b" ", b'"', b"\\", b"\\n", b'"content":"', b"\n", b"}", b",", b":", b"{"]
    ),
    max_size=6,
).map(b"".join)


@given(noise=st.sampled_from([b"", b"abc"]), texts=st.lists(PIECES, min_size=1, max_size=4))
def test_text_counts_as_it_does_when_it_is_read(noise: bytes, texts: list[bytes]) -> None:
    """What is found alike has the text that the reader finds."""
    events = known(event(b"one", noise))
    parts = [event(text, noise) for text in texts]
    found = events.text_in(parts)
    sent = SentText(KEYS)
    sent.feed(b"".join(parts))
    assert found in {-1, sent.total}
