"""Anthropic: messages, whole and streamed.

Sources: docs.anthropic.com/en/api/messages (`usage`), docs.anthropic.com/en/api/messages-streaming
and the types of its own SDK (`Usage`, `MessageDeltaUsage`).

| count | in a message and in `message_start` (`message.usage`) | in `message_delta` (`usage`) |
|---|---|---|
| input | `input_tokens` | the same, optional |
| cached | `cache_read_input_tokens`, may be null | the same, optional |
| cache_write | `cache_creation_input_tokens`, may be null | the same, optional |
| output | `output_tokens` | `output_tokens` |

The three counts of input have no token in common. `output_tokens` contains thinking. All are
cumulative, so that the last of each counts: a `message_delta` that follows the use of a server's
tool names a larger input than `message_start` did. A stream's usage is final in `message_delta`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sidecar.domain.usage import Tokens
from sidecar.usage.answer_format import AnswerCounts, AnswerFormat


def _tokens(counts: AnswerCounts) -> Tokens:
    return Tokens(*(count or 0 for count in counts))


def _is_final(event: Mapping[str, object]) -> bool:
    return event.get("type") in {"message_delta", "message"}


ANTHROPIC: Final = AnswerFormat(
    parents=((), ("message",)),
    usage="usage",
    model="model",
    counts=(
        (("input_tokens",),),
        (("cache_read_input_tokens",),),
        (("cache_creation_input_tokens",),),
        (("output_tokens",),),
    ),
    tokens=_tokens,
    is_final=_is_final,
    text=("text", "partial_json", "thinking"),
    ends_with_final=True,
)
