"""The demo's answers in the Gemini format, as its real SDK reads them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from google import genai
from google.genai.client import AsyncClient
from google.genai.types import HttpOptions

from tests.fakes.recording_product import RecordingProduct

QUESTION = "Is this free of charge?"
ANSWER = f"You said: {QUESTION}"


@asynccontextmanager
async def client_of(upstream: RecordingProduct) -> AsyncIterator[AsyncClient]:
    """Make the SDK's client for the demo product: over httpx, for its own aiohttp client warns."""
    async with httpx.AsyncClient() as transport:
        options = HttpOptions(base_url=upstream.url, httpx_async_client=transport)
        yield genai.Client(api_key="none", http_options=options).aio


async def test_the_sdk_reads_a_whole_answer(upstream: RecordingProduct) -> None:
    """Text, model and usage."""
    async with client_of(upstream) as client:
        answer = await client.models.generate_content(model="gemini-demo", contents=QUESTION)
    assert answer.text == ANSWER
    assert answer.model_version == "gemini-demo"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.total_token_count == 5 + 7


async def test_the_sdk_reads_a_stream(upstream: RecordingProduct) -> None:
    """Its parts in order; the usage of the last is that of all."""
    async with client_of(upstream) as client:
        parts = [
            part
            async for part in await client.models.generate_content_stream(
                model="gemini-demo", contents=QUESTION
            )
        ]
    assert "".join(part.text or "" for part in parts) == ANSWER
    assert parts[-1].usage_metadata is not None
    assert parts[-1].usage_metadata.candidates_token_count == 7


async def test_without_events_a_stream_is_one_json_array(upstream: RecordingProduct) -> None:
    """As clients without `alt=sse` get it."""
    async with httpx.AsyncClient(base_url=upstream.url) as client:
        answer = await client.post(
            "/v1beta/models/gemini-demo:streamGenerateContent",
            json={"contents": [{"parts": [{"text": "one two"}]}]},
        )
    assert answer.headers["content-type"].startswith("application/json")
    assert len(answer.json()) == 4


async def test_what_is_no_request_is_a_400(upstream: RecordingProduct) -> None:
    """In the error object of that API."""
    async with httpx.AsyncClient(base_url=upstream.url) as client:
        for call in ("generateContent", "streamGenerateContent"):
            path = f"/v1beta/models/gemini-demo:{call}"
            wrongs: list[dict[str, object]] = [
                {},
                {"contents": []},
                {"contents": [{"parts": 1}]},
                {"contents": [1]},
            ]
            for wrong in wrongs:
                answer = await client.post(path, json=wrong)
                assert answer.status_code == 400
                assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"
            assert (await client.post(path, content=b"{")).status_code == 400
