"""Answers in the formats of the OpenAI and Anthropic APIs: plain data, no I/O and no clock.

Formats: platform.openai.com/docs/api-reference/chat, docs.anthropic.com/en/api/messages-streaming.
Only what their SDKs need is there; the "model" answers with the caller's own last words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

MAX_CHOICES: Final = 16
DEFAULT_MODEL: Final = "demo-small"
DONE: Final = b"data: [DONE]\n\n"

JsonObject = dict[str, object]


class UnusableRequest(ValueError):  # noqa: N818 - it names the request, and becomes a 400
    """The body is no request of this API; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the two APIs ask for, as far as the demo answers it."""

    model: str
    words: tuple[str, ...]
    asked: int  # words of the question, the demo's idea of tokens
    choices: int
    stream: bool
    usage_in_stream: bool


def read_object(body: bytes) -> JsonObject:
    """Read a body that is a JSON object; raise UnusableRequest for any other."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UnusableRequest(f"the body is not JSON: {error}") from error
    if not isinstance(request, dict):
        raise UnusableRequest("the body is not a JSON object")
    return request


def read_prompt(body: bytes) -> Prompt:
    """Read a chat request of either API; raise UnusableRequest when it is none."""
    request = read_object(body)
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise UnusableRequest("`messages` must be an array that is not empty")
    choices = request.get("n", 1)
    if type(choices) is not int or not 1 <= choices <= MAX_CHOICES:
        raise UnusableRequest(f"`n` must be a whole number from 1 to {MAX_CHOICES}")
    question = _text(messages[-1])
    options = request.get("stream_options")
    return Prompt(
        model=str(request.get("model", DEFAULT_MODEL)),
        words=("You", "said:", *question.split()),
        asked=len(question.split()),
        choices=choices,
        stream=request.get("stream") is True,
        usage_in_stream=isinstance(options, dict) and options.get("include_usage") is True,
    )


def _text(message: object) -> str:
    """Return the text of a message; its content is a string or a list of typed blocks."""
    content = message.get("content") if isinstance(message, Mapping) else None
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        return " ".join(
            str(block["text"])
            for block in content
            if isinstance(block, Mapping) and isinstance(block.get("text"), str)
        )
    raise UnusableRequest("each message needs `content`: a string or an array of blocks")


def _pieces(words: Sequence[str]) -> Iterator[str]:
    """Give the words as a model streams them: the space belongs to the word that follows."""
    for index, word in enumerate(words):
        yield word if index == 0 else f" {word}"


def sse(data: JsonObject, event: str | None = None) -> bytes:
    """Return one server-sent event (WHATWG HTML, 9.2) that carries the data as JSON."""
    head = b"" if event is None else b"event: " + event.encode("ascii") + b"\n"
    return head + b"data: " + orjson.dumps(data) + b"\n\n"


def openai_completion(prompt: Prompt, identifier: str, created: int) -> JsonObject:
    """Return a `chat.completion`; `created` in Unix seconds."""
    return {
        "id": f"chatcmpl-{identifier}",
        "object": "chat.completion",
        "created": created,
        "model": prompt.model,
        "choices": [
            {
                "index": index,
                "message": {
                    "role": "assistant",
                    "content": " ".join(prompt.words),
                    "refusal": None,
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
            for index in range(prompt.choices)
        ],
        "usage": _openai_usage(prompt),
    }


def openai_stream(prompt: Prompt, identifier: str, created: int) -> Iterator[bytes]:
    """Give the events of a streamed completion, the last one `[DONE]`."""

    def chunk(choices: list[JsonObject], usage: JsonObject | None = None) -> bytes:
        data: JsonObject = {
            "id": f"chatcmpl-{identifier}",
            "object": "chat.completion.chunk",
            "created": created,
            "model": prompt.model,
            "choices": choices,
        }
        return sse(data if usage is None else data | {"usage": usage})

    def choice(index: int, delta: JsonObject, finish: str | None = None) -> list[JsonObject]:
        return [{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}]

    for index in range(prompt.choices):
        yield chunk(choice(index, {"role": "assistant", "content": ""}))
        for piece in _pieces(prompt.words):
            yield chunk(choice(index, {"content": piece}))
        yield chunk(choice(index, {}, "stop"))
    if prompt.usage_in_stream:
        yield chunk([], _openai_usage(prompt))
    yield DONE


def _openai_usage(prompt: Prompt) -> JsonObject:
    answered = len(prompt.words) * prompt.choices
    return {
        "prompt_tokens": prompt.asked,
        "completion_tokens": answered,
        "total_tokens": prompt.asked + answered,
    }


def openai_error(message: str) -> JsonObject:
    """Return the error object of a request the API cannot use."""
    return {
        "error": {
            "message": message,
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }
    }


def anthropic_message(prompt: Prompt, identifier: str) -> JsonObject:
    """Return a whole `message`."""
    return _anthropic_envelope(
        prompt,
        identifier,
        content=[{"type": "text", "text": " ".join(prompt.words)}],
        stop_reason="end_turn",
        output_tokens=len(prompt.words),
    )


def anthropic_stream(prompt: Prompt, identifier: str) -> Iterator[bytes]:
    """Give the events of a streamed message, from `message_start` to `message_stop`."""

    def event(name: str, **fields: object) -> bytes:
        return sse({"type": name, **fields}, name)

    yield event(
        "message_start",
        message=_anthropic_envelope(
            prompt, identifier, content=[], stop_reason=None, output_tokens=0
        ),
    )
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    yield event("ping")
    for piece in _pieces(prompt.words):
        yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
    yield event("content_block_stop", index=0)
    yield event(
        "message_delta",
        delta={"stop_reason": "end_turn", "stop_sequence": None},
        usage={"output_tokens": len(prompt.words)},
    )
    yield event("message_stop")


def _anthropic_envelope(
    prompt: Prompt,
    identifier: str,
    *,
    content: list[JsonObject],
    stop_reason: str | None,
    output_tokens: int,
) -> JsonObject:
    return {
        "id": f"msg_{identifier}",
        "type": "message",
        "role": "assistant",
        "model": prompt.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {"input_tokens": prompt.asked, "output_tokens": output_tokens},
    }


def anthropic_error(message: str) -> JsonObject:
    """Return the error object of a request the API cannot use."""
    return {"type": "error", "error": {"type": "invalid_request_error", "message": message}}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How an API answers: whole, as a stream, with an error. Given are an ID and Unix seconds."""

    whole: Callable[[Prompt, str, int], JsonObject]
    stream: Callable[[Prompt, str, int], Iterator[bytes]]
    error: Callable[[str], JsonObject]


OPENAI: Final = Dialect(openai_completion, openai_stream, openai_error)
ANTHROPIC: Final = Dialect(
    lambda prompt, identifier, _: anthropic_message(prompt, identifier),
    lambda prompt, identifier, _: anthropic_stream(prompt, identifier),
    anthropic_error,
)
