"""OpenAI Realtime: each `response.done` event of a session is an answer of its own.

Sources: platform.openai.com/docs/api-reference/realtime-server-events/response/done and the types
of its SDK (`RealtimeResponseUsage`).

| count | of `response.usage` |
|---|---|
| prompt | `input_tokens`: text, audio and images, of earlier turns too |
| cached | `input_token_details.cached_tokens`: "counted as a subset of input tokens" |
| output | `output_tokens`: text and audio |

The response does not name its model; the session does (`session.created`, or the URL's `model`).

What the client says is transcribed by a model of its own, beside the responses, and billed by that
model's price: the same names in `usage` of the event `conversation.item.input_audio_transcription
.completed` (`UsageTranscriptTextUsageTokens`), or seconds, which are no tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from sidecar.domain.usage import Tokens
from sidecar.usage.answer_format import AnswerCounts, AnswerFormat, parts_of


def _tokens(counts: AnswerCounts) -> Tokens:
    prompt, cached, output = counts
    left, read, _ = parts_of(prompt, cached, None)
    return Tokens(left, read, 0, output or 0)


def _is_final(event: Mapping[str, object]) -> bool:
    return event.get("type") == "response.done"


OPENAI_REALTIME: Final = AnswerFormat(
    parents=(("response",),),
    usage="usage",
    model="model",
    counts=(
        (("input_tokens",),),
        (("input_token_details", "cached_tokens"),),
        (("output_tokens",),),
    ),
    tokens=_tokens,
    is_final=_is_final,
    text=("delta",),
)

TRANSCRIPTION: Final = replace(OPENAI_REALTIME, parents=((),))
