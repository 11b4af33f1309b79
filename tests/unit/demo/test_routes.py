"""The demo product's own small API."""

from __future__ import annotations

import httpx
import pytest

from tests.fakes.recording_product import RecordingProduct


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"model": "gpt-big", "prompt": "Once"}', "Once ... and so on."),
        (b"", " ... and so on."),
        (b"[1]", " ... and so on."),
        (b"{", " ... and so on."),
    ],
)
async def test_complete_takes_any_body(upstream: RecordingProduct, body: bytes, text: str) -> None:
    """The demo's own small API is forgiving, so that what refuses is the sidecar."""
    async with httpx.AsyncClient(base_url=upstream.url) as client:
        answer = await client.post("/api/v1/complete", content=body)
    assert answer.json()["text"] == text


async def test_chat_without_a_question_greets(upstream: RecordingProduct) -> None:
    """An empty question is answered too."""
    async with httpx.AsyncClient(base_url=upstream.url) as client:
        answer = await client.post("/api/v1/chat")
    assert answer.json() == {"answer": "Hello."}


async def test_admin_page_is_open_at_the_product(upstream: RecordingProduct) -> None:
    """The product itself protects nothing: a policy has to."""
    async with httpx.AsyncClient(base_url=upstream.url) as client:
        answer = await client.get("/api/admin/x")
    assert answer.status_code == 200
