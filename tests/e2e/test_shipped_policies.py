"""The shipped policies before a product that answers on WebSockets: no unmetered way to a model."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import InvalidStatus

from tests.e2e.harness import ORG, PRODUCT, Stack, soon, stack

FOLDER: Final = Path(__file__).parents[2] / "policies"
ANSWERED: Final = "an expensive answer"
PATHS: Final = {
    "default": ["/api/v1/chat", "/api/v1", "/api/v1/", "/ws", "/v1/realtime"],
    "strict": ["/api/v1/chat", "/api/v1", "/api/v1/"],
    "openai": [
        "/v1/realtime?model=gpt-big", "/v1/realtime/", "/v1//realtime", "/v1/responses",
        "/v1/chat/completions", "/v1/models", "/v1/models/x", "/v1/batches", "/v1/threads/runs",
        "/realtime", "/openai/realtime", "/",
    ],
    "openai-tokens": ["/v1/realtime", "/realtime", "/openai/realtime?model=gpt-big"],
}  # fmt: skip
REFUSED: Final = {
    "openai-tokens": ["/v1/responses", "/v1/models", "/", "/v1/realtime/calls"],
    "anthropic-tokens": ["/v1/messages", "/v1/messages/count_tokens", "/"],
    "gemini-tokens": ["/ws/google.ai.generativelanguage", "/v1beta/models/x", "/"],
    "strict": ["/ws", "/"],
}
FIELDS: Final = [{}, {"Connection": "X-Other"}, {"X-HTTP-Method-Override": "PATCH"}]


@contextlib.asynccontextmanager
async def model(name: str) -> AsyncIterator[tuple[Stack, list[str]]]:
    """Run a shipped policy before a product that answers on every path; yield what it served."""
    served: list[str] = []

    async def answer(socket: ServerConnection) -> None:
        assert socket.request is not None
        served.append(socket.request.path)
        await socket.send(ANSWERED)

    async with serve(answer, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        text = (FOLDER / f"{name}.yaml").read_text().replace("my-product", PRODUCT)
        async with stack(
            policy=text, upstream_url=f"http://127.0.0.1:{port}", orgs={ORG: 1000}
        ) as s:
            yield s, served


def address(s: Stack, path: str) -> str:
    """Return the URL of a WebSocket through the sidecar."""
    return s.url.replace("http:", "ws:") + path


@pytest.mark.parametrize("name", PATHS)
async def test_no_websocket_is_free(name: str) -> None:
    """52: without a token there is none, with one each costs a call, however it is asked for."""
    async with model(name) as (s, served):
        for path in PATHS[name]:
            for fields in FIELDS:
                with pytest.raises(InvalidStatus) as refused:
                    await connect(address(s, path), additional_headers=fields)
                assert refused.value.response.status_code in {400, 401}, (path, fields)
        assert served == []
        for path in PATHS[name]:
            for fields in FIELDS:
                before = s.charges()
                headers = {**fields, **s.cookie()}
                async with connect(address(s, path), additional_headers=headers) as socket:
                    assert await socket.recv() == ANSWERED
                assert s.charges() == before + 1, (path, fields)
        assert len(served) == s.charges()


async def test_in_shadow_a_websocket_is_counted() -> None:
    """Nothing is refused, but what passes without a token is marked."""
    async with model("shadow") as (s, served):
        async with connect(address(s, "/api/v1/chat")) as socket:
            assert socket.response is not None
            assert socket.response.headers["X-Quota-Decision"] == "shadow"
        async with connect(address(s, "/ws"), additional_headers=s.cookie()) as socket:
            assert await socket.recv() == ANSWERED
        assert (s.charges(), len(served)) == (1, 2)


@pytest.mark.parametrize("name", REFUSED)
async def test_no_socket_opens_whose_cost_is_not_seen(name: str) -> None:
    """Nor one that is not listed: by an upgrade as well."""
    async with model(name) as (s, served):
        for path in REFUSED[name]:
            for fields in FIELDS:
                with pytest.raises(InvalidStatus) as refused:
                    await connect(address(s, path), additional_headers={**fields, **s.cookie()})
                assert refused.value.response.status_code == 403
        assert served == []


WORDS: Final = 600
"""Of a question. The demo's product takes each for a token, and answers with three more."""
COST: Final = 2 * (WORDS + 4 * (WORDS + 3)) // 1000
QUESTION: Final = {"role": "user", "content": "word " * WORDS}


@pytest.mark.parametrize(
    ("name", "path", "body"),
    [
        ("openai-tokens", "/v1/chat/completions", {"messages": [QUESTION]}),
        ("openai-tokens", "/v1/chat/completions", {"messages": [QUESTION], "stream": True}),
        ("anthropic-tokens", "/v1/messages", {"messages": [QUESTION], "max_tokens": 1000}),
        (
            "gemini-tokens",
            "/v1beta/models/small:generateContent",
            {"contents": [{"parts": [{"text": QUESTION["content"]}]}]},
        ),
    ],
)
async def test_two_calls_cost_their_tokens(name: str, path: str, body: dict[str, object]) -> None:
    """Input once, output four times, a thousand for a unit: 3.012 units each, 6 together."""
    text = (FOLDER / f"{name}.yaml").read_text().replace("my-product", PRODUCT)
    async with stack(policy=text, orgs={ORG: 1000}) as s:
        for _ in range(2):
            assert (await s.call(path, json=body)).status_code == 200
        await soon(s.charges, lambda found: found >= COST)
        assert s.charges() == COST == 6
        page = await s.metrics()
        assert (page.sum("held_units"), page.sum("usage_missing_total")) == (0, 0)
