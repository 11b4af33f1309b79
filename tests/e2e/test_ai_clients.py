"""The SDKs of two AI APIs as they come: answers, streams, and their own errors at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import anthropic
import openai
import pytest
from anthropic.types import MessageParam
from openai.types.chat import ChatCompletionMessageParam

from tests.e2e.harness import ORG, Stack, policy, stack

POLICY = policy(
    routes=[
        {
            "name": "completions",
            "match": {"path": "/v1/chat/completions", "methods": ["POST"]},
            "meter": {"errors": "openai", "amount": {"json": "/n", "default": 1, "max": 16}},
        },
        {
            "name": "messages",
            "match": {"path": "/v1/messages", "methods": ["POST"]},
            "meter": {"errors": "anthropic"},
        },
    ]
)
SPENT = "org_spent"
ASKED: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]
TOLD: list[MessageParam] = [{"role": "user", "content": "hello"}]


@pytest.fixture
async def s() -> AsyncIterator[Stack]:
    """A chain with an org that has units and one that has none."""
    async with stack(policy=POLICY, orgs={ORG: 25, SPENT: 0}) as running:
        yield running


async def requests_of(s: Stack, reason: str) -> float:
    """Return how many requests the sidecar has answered for a reason."""
    return (await s.metrics()).sum("requests_total", reason=reason)


def openai_async(s: Stack, org: str) -> openai.AsyncOpenAI:
    """Make a client whose API key is the org's token, with the retries it comes with."""
    return openai.AsyncOpenAI(base_url=f"{s.url}/v1", api_key=s.token(org))


def anthropic_async(s: Stack, org: str) -> anthropic.AsyncAnthropic:
    """Make a client that sends the org's token as a bearer, with the retries it comes with."""
    return anthropic.AsyncAnthropic(base_url=s.url, auth_token=s.token(org), api_key=None)


async def test_openai_json(s: Stack) -> None:
    """A completion is answered; `n` of them cost n units."""
    async with openai_async(s, ORG) as client:
        answer = await client.chat.completions.create(model="small", messages=ASKED, n=3)
    assert answer.object == "chat.completion"
    assert answer.choices[0].message.content
    assert (s.charges(), s.executions()) == (3, 1)


async def test_openai_stream(s: Stack) -> None:
    """A stream is passed on chunk by chunk, and costs one unit."""
    async with openai_async(s, ORG) as client:
        stream = await client.chat.completions.create(model="small", messages=ASKED, stream=True)
        chunks = [chunk async for chunk in stream]
    assert len(chunks) > 2
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert (s.charges(), s.executions()) == (1, 1)


async def test_openai_sync(s: Stack) -> None:
    """The synchronous client does the same, JSON and stream."""

    def talk() -> tuple[str | None, int]:
        with openai.OpenAI(base_url=f"{s.url}/v1", api_key=s.token()) as client:
            answer = client.chat.completions.create(model="small", messages=ASKED)
            stream = client.chat.completions.create(model="small", messages=ASKED, stream=True)
            return answer.choices[0].message.content, sum(1 for _ in stream)

    text, chunks = await asyncio.to_thread(talk)
    assert text
    assert chunks > 2
    assert (s.charges(), s.executions()) == (2, 2)


@pytest.mark.parametrize("streaming", [False, True])
async def test_openai_over_quota(s: Stack, *, streaming: bool) -> None:
    """Over quota its RateLimitError is raised at once: one request, no retry, nothing executed."""
    async with openai_async(s, SPENT) as client:
        assert client.max_retries == 2
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat.completions.create(model="small", messages=ASKED, stream=streaming)
    assert caught.value.code == "insufficient_quota"
    assert caught.value.type == "insufficient_quota"
    assert caught.value.request_id
    assert await requests_of(s, "over_quota") == 1
    assert s.executions(SPENT) == 0


async def test_openai_sync_over_quota(s: Stack) -> None:
    """So with the synchronous client."""

    def talk() -> None:
        with openai.OpenAI(base_url=f"{s.url}/v1", api_key=s.token(SPENT)) as client:
            client.chat.completions.create(model="small", messages=ASKED)

    with pytest.raises(openai.RateLimitError):
        await asyncio.to_thread(talk)
    assert await requests_of(s, "over_quota") == 1


async def test_openai_other_refusals(s: Stack) -> None:
    """Other refusals raise the error that each is for that SDK."""
    async with openai.AsyncOpenAI(base_url=f"{s.url}/v1", api_key="nonsense") as client:
        with pytest.raises(openai.AuthenticationError):
            await client.chat.completions.create(model="small", messages=ASKED)
    async with openai_async(s, ORG) as client:
        with pytest.raises(openai.UnprocessableEntityError):
            await client.chat.completions.create(model="small", messages=ASKED, n=17)
    assert s.executions(None) == 0


async def test_anthropic_json(s: Stack) -> None:
    """A message is answered and costs one unit."""
    async with anthropic_async(s, ORG) as client:
        answer = await client.messages.create(model="small", max_tokens=64, messages=TOLD)
    assert answer.content[0].type == "text"
    assert (s.charges(), s.executions()) == (1, 1)


async def test_anthropic_stream(s: Stack) -> None:
    """A stream is passed on event by event."""
    async with (
        anthropic_async(s, ORG) as client,
        client.messages.stream(model="small", max_tokens=64, messages=TOLD) as stream,
    ):
        events = Counter([event.type async for event in stream])
        text = await stream.get_final_text()
    assert text
    assert events["message_start"] == events["message_stop"] == 1
    assert (s.charges(), s.executions()) == (1, 1)


async def test_anthropic_sync(s: Stack) -> None:
    """The synchronous client does the same, JSON and stream."""

    def talk() -> tuple[str, str]:
        with anthropic.Anthropic(base_url=s.url, auth_token=s.token(), api_key=None) as client:
            answer = client.messages.create(model="small", max_tokens=64, messages=TOLD)
            with client.messages.stream(model="small", max_tokens=64, messages=TOLD) as stream:
                return answer.content[0].type, stream.get_final_text()

    kind, text = await asyncio.to_thread(talk)
    assert kind == "text"
    assert text
    assert (s.charges(), s.executions()) == (2, 2)


@pytest.mark.parametrize("streaming", [False, True])
async def test_anthropic_over_quota(s: Stack, *, streaming: bool) -> None:
    """Over quota its RateLimitError is raised at once: one request, no retry, nothing executed."""
    async with anthropic_async(s, SPENT) as client:
        assert client.max_retries == 2
        with pytest.raises(anthropic.RateLimitError) as caught:
            await client.messages.create(
                model="small", max_tokens=64, messages=TOLD, stream=streaming
            )
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["error"]["type"] == "rate_limit_error"
    assert caught.value.request_id
    assert await requests_of(s, "over_quota") == 1
    assert s.executions(SPENT) == 0


async def test_anthropic_sync_over_quota(s: Stack) -> None:
    """So with the synchronous client."""

    def talk() -> None:
        token = s.token(SPENT)
        with anthropic.Anthropic(base_url=s.url, auth_token=token, api_key=None) as client:
            client.messages.create(model="small", max_tokens=64, messages=TOLD)

    with pytest.raises(anthropic.RateLimitError):
        await asyncio.to_thread(talk)
    assert await requests_of(s, "over_quota") == 1


async def test_an_sdk_retries_what_may_pass(s: Stack) -> None:
    """A 503 is left to the SDK's own retries: it comes with Retry-After and no word against it."""
    s.place.policy_file.write_text(
        policy(
            routes=[
                {
                    "name": "completions",
                    "match": {"path": "/v1/chat/completions"},
                    "meter": {"errors": "openai", "on_platform_error": "fail_closed"},
                }
            ]
        )
    )
    assert (await s.client.post(f"{s.admin}/reload")).status_code == 200
    await s.fault(status=500)
    async with openai.AsyncOpenAI(
        base_url=f"{s.url}/v1", api_key=s.token(), max_retries=0
    ) as client:
        with pytest.raises(openai.InternalServerError) as caught:
            await client.chat.completions.create(model="small", messages=ASKED)
    assert caught.value.status_code == 503
    assert caught.value.response.headers["retry-after"] == "5"
    assert "x-should-retry" not in caught.value.response.headers
