"""Gemini and Vertex AI: generateContent and streamGenerateContent, as events or as a JSON array.

Source: ai.google.dev/api/generate-content, `UsageMetadata` of `GenerateContentResponse`.

| count | of `usageMetadata` |
|---|---|
| prompt | `promptTokenCount`: "still the total effective prompt size", cached content included |
| cached | `cachedContentTokenCount`: "in the cached part of the prompt" |
| tool prompts | `toolUsePromptTokenCount`: beside the prompt, added to the input |
| output | `candidatesTokenCount` + `thoughtsTokenCount`, beside each other |

`totalTokenCount` is the sum of prompt, tool prompts, candidates and thoughts. A zero is left out.
Every chunk of a stream has the counts so far: the last of each counts, final where a candidate has
its `finishReason` or the prompt was blocked. The model is `modelVersion`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sidecar.domain.usage import Tokens
from sidecar.usage.answer_format import AnswerCounts, AnswerFormat, follow, parts_of


def _tokens(counts: AnswerCounts) -> Tokens:
    prompt, cached, tools, candidates, thoughts = counts
    left, read, _ = parts_of(prompt, cached, None)
    return Tokens(left + (tools or 0), read, 0, (candidates or 0) + (thoughts or 0))


def _is_final(event: Mapping[str, object]) -> bool:
    if follow(event, ("candidates", "0", "finishReason")) is not None:
        return True
    return follow(event, ("promptFeedback", "blockReason")) is not None


GEMINI: Final = AnswerFormat(
    parents=((),),
    usage="usageMetadata",
    model="modelVersion",
    counts=(
        (("promptTokenCount",),),
        (("cachedContentTokenCount",),),
        (("toolUsePromptTokenCount",),),
        (("candidatesTokenCount",),),
        (("thoughtsTokenCount",),),
    ),
    tokens=_tokens,
    is_final=_is_final,
    text=("text",),
    choices=(("generationConfig", "candidateCount"),),
)
