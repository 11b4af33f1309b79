"""The demo's answers as the real SDKs read them: whole and streamed, sync and async."""

from __future__ import annotations

import asyncio

import anthropic
import httpx
import openai
import pytest

from sidecar.demo.dialects import MAX_CHOICES, UnusableRequest, read_prompt
from tests.fakes.recording_product import RecordingProduct

QUESTION = "Is this free of charge?"
ANSWER = f"You said: {QUESTION}"


@pytest.mark.parametrize("prefix", ["/v1", "/api/v1"])
async def test_openai_reads_a_completion(upstream: RecordingProduct, prefix: str) -> None:
    """The async SDK reads a completion with as many choices as it asked for."""
    async with openai.AsyncOpenAI(api_key="none", base_url=upstream.url + prefix) as client:
        completion = await client.chat.completions.create(
            model="gpt-demo", n=2, messages=[{"role": "user", "content": QUESTION}]
        )
    assert [choice.message.content for choice in completion.choices] == [ANSWER, ANSWER]
    assert completion.model == "gpt-demo"
    assert completion.usage is not None
    assert completion.usage.total_tokens == 5 + 14


async def test_openai_reads_a_stream(upstream: RecordingProduct) -> None:
    """The async SDK reads a stream to `[DONE]`, usage last."""
    async with openai.AsyncOpenAI(api_key="none", base_url=f"{upstream.url}/v1") as client:
        stream = await client.chat.completions.create(
            model="gpt-demo",
            stream=True,
            stream_options={"include_usage": True},
            messages=[{"role": "user", "content": QUESTION}],
        )
        chunks = [chunk async for chunk in stream]
    texts = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    assert "".join(texts) == ANSWER
    assert len(texts) > 5
    assert chunks[-1].usage is not None


async def test_openai_sync_reads_both(upstream: RecordingProduct) -> None:
    """The sync SDK reads a completion and a stream."""

    def ask() -> tuple[str | None, str]:
        with openai.OpenAI(api_key="none", base_url=f"{upstream.url}/v1") as client:
            whole = client.chat.completions.create(
                model="gpt-demo", messages=[{"role": "user", "content": QUESTION}]
            )
            stream = client.chat.completions.create(
                model="gpt-demo", stream=True, messages=[{"role": "user", "content": QUESTION}]
            )
            streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
        return whole.choices[0].message.content, streamed

    assert await asyncio.to_thread(ask) == (ANSWER, ANSWER)


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_anthropic_reads_a_message(upstream: RecordingProduct, prefix: str) -> None:
    """The async SDK reads a whole message."""
    async with anthropic.AsyncAnthropic(api_key="none", base_url=upstream.url + prefix) as client:
        message = await client.messages.create(
            model="claude-demo",
            max_tokens=64,
            messages=[{"role": "user", "content": [{"type": "text", "text": QUESTION}]}],
        )
    (block,) = message.content
    assert block.type == "text"
    assert block.text == ANSWER
    assert message.stop_reason == "end_turn"


async def test_anthropic_reads_a_stream(upstream: RecordingProduct) -> None:
    """The async SDK puts the events of a stream together again."""
    async with (
        anthropic.AsyncAnthropic(api_key="none", base_url=upstream.url) as client,
        client.messages.stream(
            model="claude-demo",
            max_tokens=64,
            messages=[{"role": "user", "content": QUESTION}],
        ) as stream,
    ):
        pieces = [text async for text in stream.text_stream]
        message = await stream.get_final_message()
    assert "".join(pieces) == ANSWER
    assert len(pieces) > 5
    assert message.usage.output_tokens == 7


async def test_anthropic_sync_reads_both(upstream: RecordingProduct) -> None:
    """The sync SDK reads a message and the events of a stream."""

    def ask() -> tuple[str, list[str]]:
        with anthropic.Anthropic(api_key="none", base_url=upstream.url) as client:
            whole = client.messages.create(
                model="claude-demo",
                max_tokens=64,
                messages=[{"role": "user", "content": QUESTION}],
            )
            events = client.messages.create(
                model="claude-demo",
                max_tokens=64,
                stream=True,
                messages=[{"role": "user", "content": QUESTION}],
            )
            kinds = [str(event.type) for event in events]
        assert whole.content[0].type == "text"
        return whole.content[0].text, kinds

    text, kinds = await asyncio.to_thread(ask)
    assert text == ANSWER
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")


async def test_openai_raises_its_own_error(upstream: RecordingProduct) -> None:
    """A request the API cannot use raises the SDK's own error, with the text."""
    async with openai.AsyncOpenAI(api_key="none", base_url=f"{upstream.url}/v1") as client:
        with pytest.raises(openai.BadRequestError, match="messages"):
            await client.chat.completions.create(model="gpt-demo", messages=[])


async def test_anthropic_raises_its_own_error(upstream: RecordingProduct) -> None:
    """A request the API cannot use raises the SDK's own error, with the text."""
    async with anthropic.AsyncAnthropic(api_key="none", base_url=upstream.url) as client:
        with pytest.raises(anthropic.BadRequestError, match="messages"):
            await client.messages.create(model="claude-demo", max_tokens=64, messages=[])


async def test_pace_is_kept_between_events() -> None:
    """The demo's own pace rules where the query names none, and a query overrides it."""
    demo = RecordingProduct(pace=30.0)
    await demo.start()
    async with httpx.AsyncClient(base_url=demo.url, timeout=5) as client:
        answer = await client.get("/api/v1/stream?n=3&interval_ms=0")
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/api/v1/stream?n=2", timeout=0.1)
    assert answer.text.count("event: tick") == 3
    await demo.close()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "messages"),
        (b'{"messages": "hello"}', "messages"),
        (b'{"messages": ["hello"]}', "content"),
        (b'{"messages": [{"content": 5}]}', "content"),
        (b'{"messages": [{"content": "a"}], "n": 0}', f"1 to {MAX_CHOICES}"),
        (b'{"messages": [{"content": "a"}], "n": 17}', f"1 to {MAX_CHOICES}"),
        (b'{"messages": [{"content": "a"}], "n": true}', f"1 to {MAX_CHOICES}"),
        (b'{"messages": [{"content": "a"}], "n": "2"}', f"1 to {MAX_CHOICES}"),
    ],
)
def test_unusable_request_is_named(body: bytes, says: str) -> None:
    """What is wrong with a request is in the text."""
    with pytest.raises(UnusableRequest, match=says):
        read_prompt(body)


def test_prompt_has_its_defaults() -> None:
    """Only the messages are needed; blocks without text are passed over."""
    prompt = read_prompt(b'{"messages": [{"content": [{"type": "image"}, {"text": "Hi you"}]}]}')
    assert (prompt.words, prompt.asked) == (("You", "said:", "Hi", "you"), 2)
    assert (prompt.choices, prompt.stream, prompt.usage_in_stream) == (1, False, False)
