"""OpenAI: chat completions, completions, embeddings and Responses, whole and streamed.

Sources: the API reference (platform.openai.com/docs/api-reference: `chat/object`,
`chat/streaming`, `completions/object`, `embeddings/create`, `responses/object`,
`responses-streaming`) and the types of its own SDK, which are made of the OpenAPI document.

| count | chat, completions, embeddings | Responses |
|---|---|---|
| prompt | `usage.prompt_tokens` | `usage.input_tokens` |
| details | `usage.prompt_tokens_details` | `usage.input_tokens_details` |
| cached | `cached_tokens` of the details | the same |
| cache_write | `cache_write_tokens` of the details | the same |
| output | `usage.completion_tokens`, none in embeddings | `usage.output_tokens` |

The prompt's count contains its details ("breakdown of tokens used in the prompt"), and the
output's contains `reasoning_tokens`. The images API and transcriptions name usage as Responses do.

Chat streams: a chunk with an empty `choices` carries the usage before `[DONE]`, only with
`stream_options.include_usage`; the `usage` of every other chunk is null then. Some servers of the
same API name a running total in each chunk: the last one counts, and it is final where a choice
has its `finish_reason`. Responses streams: `response.completed`, `response.incomplete` and
`response.failed` carry the whole response, with its usage and model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sidecar.domain.usage import Tokens
from sidecar.usage.answer_format import AnswerCounts, AnswerFormat, parts_of

_HEAD: Final = 512
"""Bytes of a stream in which the type of its first event is."""


def _tokens(counts: AnswerCounts) -> Tokens:
    prompt, cached, cache_write, output = counts
    return Tokens(*parts_of(prompt, cached, cache_write), output or 0)


def _is_final(event: Mapping[str, object]) -> bool:
    choices = event.get("choices")
    if not choices:
        return True
    first = choices[0] if isinstance(choices, list) else None
    return isinstance(first, dict) and first.get("finish_reason") is not None


_CHAT_TEXT: Final = ("content", "text", "arguments", "refusal", "reasoning_content")


def _event_text(head: bytes) -> tuple[str, ...]:
    """Return the keys of text; events of Responses repeat it whole when a part of it is done."""
    head = head[:_HEAD]
    responses = b"event: response." in head or b'"response.' in head
    return ("delta",) if responses else _CHAT_TEXT


OPENAI: Final = AnswerFormat(
    parents=((), ("response",)),
    usage="usage",
    model="model",
    counts=(
        (("prompt_tokens",), ("input_tokens",)),
        (("prompt_tokens_details", "cached_tokens"), ("input_tokens_details", "cached_tokens")),
        (
            ("prompt_tokens_details", "cache_write_tokens"),
            ("input_tokens_details", "cache_write_tokens"),
        ),
        (("completion_tokens",), ("output_tokens",)),
    ),
    tokens=_tokens,
    is_final=_is_final,
    text=_CHAT_TEXT,
    event_text=_event_text,
    choices=(("n",), ("best_of",)),
)
