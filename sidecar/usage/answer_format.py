"""Where the answers of a vendor name their usage, and how tokens come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sidecar.domain.usage import Tokens

KeyPath = tuple[str, ...]
"""The keys from an object to a value in it."""

AnswerCounts = Sequence[int | None]
"""What an answer names of the counts of its format, in their order; None where it names none."""

MAX_COUNT: Final = 10**12
"""A larger number of tokens is none that a model has read or written: it counts as not named."""

MAX_MODEL: Final = 256
"""Characters of a model's name; a longer one counts as not named."""


@dataclass(frozen=True, slots=True)
class AnswerFormat:
    """How one vendor's answers name their usage.

    `parents`: the objects that carry usage, seen from the document of a body or of an event.
    `usage`, `model`: their keys in it. `counts`: for each count, its places in the usage object, of
    which an answer has at most one. `text`: the keys of text that goes to the client; `event_text`:
    those in a stream that begins so, where they differ. `is_final`: whether an event's usage is
    that of the whole answer, where the stream ends before it should. `ends_with_final`: a stream
    without such an event is not complete, though its connection ended well. `choices`: where a
    request says how many answers it asks for.
    """

    parents: tuple[KeyPath, ...]
    usage: str
    model: str
    counts: tuple[tuple[KeyPath, ...], ...]
    tokens: Callable[[AnswerCounts], Tokens]
    is_final: Callable[[Mapping[str, object]], bool]
    text: tuple[str, ...]
    event_text: Callable[[bytes], tuple[str, ...]] | None = None
    ends_with_final: bool = False
    choices: tuple[KeyPath, ...] = ()
    needle: bytes = field(init=False)
    model_needle: bytes = field(init=False)
    places: tuple[tuple[int, str, KeyPath], ...] = field(init=False)
    """Of `counts`: which one, the key in the usage object, and the way on from there."""

    def __post_init__(self) -> None:
        each = ((at, path) for at, paths in enumerate(self.counts) for path in paths)
        places = tuple((at, path[0], path[1:]) for at, path in each)
        object.__setattr__(self, "needle", f'"{self.usage}"'.encode())
        object.__setattr__(self, "model_needle", f'"{self.model}"'.encode())
        object.__setattr__(self, "places", places)

    def text_keys(self, stream: bytes) -> tuple[str, ...]:
        """Return the keys of text in a stream that begins so."""
        return self.text if self.event_text is None else self.event_text(stream)


def follow(value: object, path: KeyPath) -> object:
    """Return what is at the path, None where nothing is."""
    for key in path:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isascii() and key.isdigit() and len(key) < 10:  # noqa: PLR2004
            at = int(key)
            value = value[at] if at < len(value) else None
        else:
            return None
    return value


def count_of(value: object) -> int | None:
    """Return a count: a whole number (not true, not 3.0), None for anything else."""
    return value if type(value) is int and 0 <= value <= MAX_COUNT else None


def model_of(value: object) -> str | None:
    """Return the name of a model, None for anything else."""
    return value if isinstance(value, str) and 0 < len(value) <= MAX_MODEL else None


def parts_of(
    whole: int | None, cached: int | None, cache_write: int | None
) -> tuple[int, int, int]:
    """Divide a prompt's count, which contains its parts, into input, cached and cache_write.

    A part that is larger than what is left of the whole is cut to it: the whole is what the model
    has read, and none of it counts twice.
    """
    left = whole or 0
    read = min(cached or 0, left)
    written = min(cache_write or 0, left - read)
    return left - read - written, read, written
