"""Frames of a WebSocket for properties: messages in fragments, written by `websockets`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from sidecar.usage.realtime.deflate import Deflated


@dataclass(frozen=True)
class Sent:
    """What one side sends: messages, each in fragments, with pings between them."""

    masked: bool
    deflated: Deflated | None
    messages: tuple[tuple[bool, tuple[bytes, ...], bool], ...]  # text?, fragments, pinged?

    def frames(self) -> list[bytes]:
        """Write each frame."""
        extensions = []
        if self.deflated is not None:
            bits, reset = self.deflated.window_bits, not self.deflated.takeover
            extensions = [PerMessageDeflate(False, reset, 15, bits)]
        written = []
        for is_text, fragments, pinged in self.messages:
            for at, fragment in enumerate(fragments):
                kind = Opcode.TEXT if is_text else Opcode.BINARY
                opcode = Opcode.CONT if at else kind
                frame = Frame(opcode, fragment, fin=at == len(fragments) - 1)
                written.append(frame.serialize(mask=self.masked, extensions=extensions))
                if pinged:
                    written.append(Frame(Opcode.PING, b"now").serialize(mask=self.masked))
        return written

    def contents(self) -> list[bytes]:
        """Return what each message holds."""
        return [b"".join(fragments) for _, fragments, _ in self.messages]


def _in_fragments(content: bytes, cuts: list[int]) -> tuple[bytes, ...]:
    places = sorted(cut % (len(content) + 1) for cut in cuts)
    ends = [0, *places, len(content)]
    return tuple(content[a:b] for a, b in pairwise(ends))


CONTENTS = st.one_of(
    st.text(max_size=300).map(str.encode),
    st.tuples(st.text(min_size=1, max_size=6), st.integers(0, 20_000)).map(
        lambda pair: (pair[0] * pair[1]).encode()[: 6 * pair[1]].decode(errors="ignore").encode()
    ),
)
MESSAGES = st.tuples(
    st.booleans(),
    st.tuples(CONTENTS, st.lists(st.integers(0, 1 << 20), max_size=3)).map(
        lambda pair: _in_fragments(*pair)
    ),
    st.booleans(),
)
DEFLATED = st.one_of(
    st.none(), st.builds(Deflated, window_bits=st.integers(9, 15), takeover=st.booleans())
)
SENT = st.builds(
    Sent,
    masked=st.booleans(),
    deflated=DEFLATED,
    messages=st.lists(MESSAGES, max_size=5).map(tuple),
)


def cut_into(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut data at any places."""
    return [piece for piece in _in_fragments(data, cuts) if piece]
