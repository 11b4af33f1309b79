"""Calls of the vendors' SDKs, charged by the tokens that their answers name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anthropic
import httpx
import openai
import pytest
from google import genai
from google.genai.client import AsyncClient
from google.genai.types import HttpOptions

from tests.e2e.harness import ORG, Stack, policy, soon, stack

QUESTION = "one two three four five"
ASKED = 5
ANSWERED = 7
"""Words of the demo's answer, which is its idea of tokens."""


def settled(name: str, path: str, form: str, **more: object) -> dict[str, object]:
    """Make a route on which a token is a unit."""
    usage = {"format": form, "per": 1, **more}
    return {
        "name": name,
        "match": {"path": path, "methods": ["POST"]},
        "meter": {"usage": usage},
    }


POLICY = policy(
    routes=[
        settled("completions", "/v1/chat/completions", "openai", request_usage=True),
        settled("messages", "/v1/messages", "anthropic"),
        settled("gemini", "/*/models/*", "gemini"),
    ]
)


@pytest.fixture
async def s() -> AsyncIterator[Stack]:
    """A chain before the demo's product."""
    async with stack(policy=POLICY, orgs={ORG: 100_000}) as running:
        yield running


def openai_client(s: Stack) -> openai.AsyncOpenAI:
    """Make a client whose API key is the org's token."""
    return openai.AsyncOpenAI(base_url=f"{s.url}/v1", api_key=s.token(ORG))


def anthropic_client(s: Stack) -> anthropic.AsyncAnthropic:
    """Make a client that sends the org's token as a bearer."""
    return anthropic.AsyncAnthropic(base_url=s.url, auth_token=s.token(ORG), api_key=None)


@asynccontextmanager
async def gemini_client(s: Stack) -> AsyncIterator[AsyncClient]:
    """Make a client that sends the org's token as a bearer."""
    async with httpx.AsyncClient() as transport:
        headers = {"Authorization": f"Bearer {s.token(ORG)}"}
        options = HttpOptions(base_url=s.url, headers=headers, httpx_async_client=transport)
        yield genai.Client(api_key="none", http_options=options).aio


async def charged(s: Stack, units: int) -> None:
    """Wait until so many units are charged: what is owed is consumed behind the answer."""
    await soon(s.charges, lambda found: found >= units)
    assert s.charges() == units


async def test_openai_pays_for_its_tokens(s: Stack) -> None:
    """Whole, with two choices."""
    async with openai_client(s) as client:
        answer = await client.chat.completions.create(
            model="small", n=2, messages=[{"role": "user", "content": QUESTION}]
        )
    assert answer.usage is not None
    assert answer.usage.total_tokens == ASKED + 2 * ANSWERED
    await charged(s, ASKED + 2 * ANSWERED)


async def test_an_openai_stream_pays_for_its_tokens(s: Stack) -> None:
    """The client, which did not ask for the usage, gets no chunk without a choice."""
    async with openai_client(s) as client:
        stream = await client.chat.completions.create(
            model="small", stream=True, messages=[{"role": "user", "content": QUESTION}]
        )
        chunks = [chunk async for chunk in stream]
    assert all(chunk.choices for chunk in chunks)
    await charged(s, ASKED + ANSWERED)


async def test_an_openai_stream_that_asks_gets_its_usage(s: Stack) -> None:
    """And pays the same."""
    async with openai_client(s) as client:
        stream = await client.chat.completions.create(
            model="small",
            stream=True,
            stream_options={"include_usage": True},
            messages=[{"role": "user", "content": QUESTION}],
        )
        chunks = [chunk async for chunk in stream]
    assert chunks[-1].usage is not None
    await charged(s, ASKED + ANSWERED)


async def test_anthropic_pays_for_its_tokens(s: Stack) -> None:
    """Whole and streamed."""
    async with anthropic_client(s) as client:
        await client.messages.create(
            model="m", max_tokens=100, messages=[{"role": "user", "content": QUESTION}]
        )
        await charged(s, ASKED + ANSWERED)
        async with client.messages.stream(
            model="m", max_tokens=100, messages=[{"role": "user", "content": QUESTION}]
        ) as stream:
            message = await stream.get_final_message()
    assert message.usage.output_tokens == ANSWERED
    await charged(s, 2 * (ASKED + ANSWERED))


async def test_gemini_pays_for_its_tokens(s: Stack) -> None:
    """Whole and streamed."""
    async with gemini_client(s) as client:
        await client.models.generate_content(model="g", contents=QUESTION)
        await charged(s, ASKED + ANSWERED)
        parts = [
            part
            async for part in await client.models.generate_content_stream(
                model="g", contents=QUESTION
            )
        ]
    assert len(parts) == ANSWERED
    await charged(s, 2 * (ASKED + ANSWERED))


async def test_a_hundred_streams_at_once_pay_to_the_token(s: Stack) -> None:
    """None is free, and none is charged twice."""

    async def one(client: openai.AsyncOpenAI) -> None:
        stream = await client.chat.completions.create(
            model="small", stream=True, messages=[{"role": "user", "content": QUESTION}]
        )
        async for _ in stream:
            pass

    async with openai_client(s) as client:
        await asyncio.gather(*(one(client) for _ in range(100)))
    await charged(s, 100 * (ASKED + ANSWERED))
    assert s.executions() == 100
    page = await s.metrics()
    assert page.sum("held_units") == 0
    assert page.sum("usage_missing_total") == 0
