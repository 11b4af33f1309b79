"""OpenAI's answers, whole and streamed."""

from __future__ import annotations

import orjson
import pytest

from sidecar.domain.usage import MissingCause, Tokens, Usage, UsageFormat
from tests.unit.usage.samples import (
    CHAT,
    CHAT_STREAM,
    CHAT_USAGE,
    EMBEDDINGS,
    JSON,
    RESPONSE,
    USAGE_CHUNK,
    chat_choice,
    chat_chunk,
    event,
    read,
    responses_stream,
)

OPENAI = UsageFormat.OPENAI


def test_a_chat_completion_has_its_prompt_divided() -> None:
    """What is read from a cache or written to one is no input, and reasoning is output."""
    body = orjson.dumps(CHAT)
    found = read(OPENAI, body, headers=JSON)
    assert found == Usage(Tokens(30, 60, 10, 40), None, "gpt-sample", 0, None)
    assert read(OPENAI, body, headers=JSON, whole=False).text_bytes == 11


def test_a_chat_stream_is_read_from_its_usage_chunk() -> None:
    """The other chunks have a null there."""
    found = read(OPENAI, CHAT_STREAM)
    assert found == Usage(Tokens(30, 60, 10, 40), None, "gpt-sample", 11, None)


def test_a_stream_without_the_chunk_has_no_usage() -> None:
    """It names the model all the same, and its text is counted."""
    found = read(OPENAI, CHAT_STREAM.replace(USAGE_CHUNK, b""))
    assert found == Usage(None, None, "gpt-sample", 11, MissingCause.ABSENT)


def test_a_running_total_counts_by_its_last() -> None:
    """Some servers of this API name the usage so far in each chunk."""
    chunks = [
        event(
            chat_chunk(
                chat_choice({"content": "x"}), {"prompt_tokens": 5, "completion_tokens": count}
            )
        )
        for count in (1, 2, 3)
    ]
    assert read(OPENAI, *chunks).tokens == Tokens(5, 0, 0, 3)
    assert read(OPENAI, *chunks, whole=False).missing is MissingCause.CUT


def test_a_stream_that_is_cut_behind_its_usage_misses_nothing() -> None:
    """Only `[DONE]` was left to come."""
    found = read(OPENAI, CHAT_STREAM.removesuffix(b"data: [DONE]\n\n"), whole=False)
    assert found.missing is None


def test_embeddings_have_input_alone() -> None:
    """They name no completion."""
    found = read(OPENAI, orjson.dumps(EMBEDDINGS), headers=JSON)
    assert found == Usage(Tokens(8), None, "embed-sample", 0, None)


def test_a_response_is_read_at_its_top() -> None:
    """A tool's parameters that are called `usage` are the client's own words."""
    body = orjson.dumps(RESPONSE)
    found = read(OPENAI, body, headers=JSON)
    assert found == Usage(Tokens(25, 20, 5, 30), None, "gpt-sample", 0, None)
    assert read(OPENAI, body, headers=JSON, whole=False).text_bytes == 11


@pytest.mark.parametrize("last", ["completed", "incomplete", "failed"])
def test_a_responses_stream_is_read_from_its_last_event(last: str) -> None:
    """The text counts once, though events repeat it when it is done."""
    found = read(OPENAI, responses_stream(f"response.{last}"))
    assert found == Usage(Tokens(25, 20, 5, 30), None, "gpt-sample", 11, None)


@pytest.mark.parametrize("count", [-1, "12", 3.5, 3.0, True, None, [], {}, 10**30])
def test_nonsense_is_not_named(count: object) -> None:
    """It neither raises nor counts."""
    body = orjson.dumps(CHAT | {"usage": {"prompt_tokens": 5, "completion_tokens": 7}})
    body = body.replace(b":7", b":" + (b"9" * 31 if count == 10**30 else orjson.dumps(count)))
    assert read(OPENAI, body, headers=JSON).tokens == Tokens(5, 0, 0, 0)


def test_a_part_is_never_more_than_its_whole() -> None:
    """More cached than the prompt has been seen in the wild."""
    usage = CHAT_USAGE | {"prompt_tokens_details": {"cached_tokens": 300, "cache_write_tokens": 4}}
    found = read(OPENAI, orjson.dumps(CHAT | {"usage": usage}), headers=JSON)
    assert found.tokens == Tokens(0, 100, 0, 40)
