"""What a settled call asks of the product: which API, how its answer goes, and its tokens."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import orjson


class Shape(StrEnum):
    """Which API an answer is of."""

    OPENAI = "openai"
    RESPONSES = "responses"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"

    @property
    def usage_format(self) -> str:
        """The format of a policy that reads it."""
        return Shape.OPENAI.value if self is Shape.RESPONSES else self.value

    @property
    def path(self) -> str:
        """Where it is called."""
        return _PATHS[self]


_PATHS: Final = {
    Shape.OPENAI: "/v1/chat/completions",
    Shape.RESPONSES: "/v1/responses",
    Shape.ANTHROPIC: "/v1/messages",
    Shape.GEMINI: "/v1beta/models/m:generateContent",
}


class Ending(StrEnum):
    """How an answer goes."""

    WHOLE = "whole"
    MUTE = "mute"  # whole, and names no usage
    ERROR = "error"  # 503 instead
    BROKEN = "broken"  # JSON without its end, in a body or an event that has one
    CUT = "cut"  # the connection is closed in the middle
    RESET = "reset"  # it is reset in the middle, or before the head


@dataclass(frozen=True, slots=True)
class Plan:
    """One answer: its tokens, and the words of its text, in so many events of a stream at most."""

    marker: str
    shape: Shape
    stream: bool
    ending: Ending
    input: int
    cached: int
    output: int
    words: int
    pieces: int = 5

    @classmethod
    def read(cls, text: bytes) -> Plan:
        """Read a plan as a call carries it."""
        values = orjson.loads(text)
        return cls(
            **{**values, "shape": Shape(values["shape"]), "ending": Ending(values["ending"])}
        )

    @property
    def text(self) -> str:
        """What the model says, seven bytes a word."""
        return " ".join(f"w{n:05d}" for n in range(self.words))

    @property
    def shown(self) -> int:
        """Bytes of that text that its client gets."""
        broken = self.ending is Ending.BROKEN and not self.stream
        return len(self.text) // 2 if broken else len(self.text)
