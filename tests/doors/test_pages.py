"""What docs/doors.md prints runs as it is printed."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from sidecar.local_platform.server import LocalPlatform
from tests.doors.serving import answering, environ_of
from tests.e2e.harness import ORG, policy, soon, surroundings
from tests.e2e.programs import start
from tests.free_ports import free_port

PAGE = Path(__file__).parents[2] / "docs" / "doors.md"


def block(language: str, holds: str, page: Path = PAGE) -> str:
    """Return the first block of code in a language that holds a text."""
    text = page.read_text(encoding="utf-8")
    blocks: list[str] = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return next(found for found in blocks if holds in found)


SERVE = """
import sys
from aiohttp import web
from product import app
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]))
"""


def test_the_page_names_the_command() -> None:
    """The one that the next test runs, on another port."""
    command = block("bash", "uvicorn product:app").splitlines()[-1]
    assert command == "PLATFORM_INTERNAL_KEY=bbas_local_only uvicorn product:app"


@contextlib.asynccontextmanager
async def served_page(
    product: str, text: str, folder: Path, limit: int
) -> AsyncIterator[tuple[LocalPlatform, httpx.AsyncClient]]:
    """Serve a product of a page on a real socket, with a policy beside it."""
    (folder / "product.py").write_text(product)
    (folder / "policy.yaml").write_text(text)
    port = free_port()
    serve = [sys.executable, "-c", SERVE, str(port)]
    if "FastAPI()" in product:
        uvicorn = str(Path(sys.executable).with_name("uvicorn"))
        serve = [uvicorn, "product:app", "--app-dir", str(folder), "--port", str(port)]
    async with surroundings(text, {ORG: limit}, None, None, "http://x") as (place, platform, _):
        environ = environ_of(place)
        del environ["SIDECAR_POLICY"]  # the page names the file
        process = await start(*serve, environ=environ, folder=folder)
        url = f"http://127.0.0.1:{port}"
        try:
            await answering(process, f"{url}/nowhere", 404)
            cookie = {"cookie": f"bb_at={platform.mint_token(ORG)}"}
            async with httpx.AsyncClient(base_url=url, headers=cookie) as client:
                yield platform, client
        finally:
            await process.close()


@pytest.mark.parametrize("framework", ["FastAPI()", "web.Application()"])
async def test_two_lines_meter_a_product(framework: str, tmp_path: Path) -> None:
    """The product of the page, served on a real socket."""
    product = block("python", framework)
    async with served_page(product, policy(), tmp_path, 1) as (_, client):
        first = await client.post("/api/v1/chat")
        second = await client.post("/api/v1/chat")
    assert first.json() == {"hello": ORG, "reason": "within_quota"}
    assert second.status_code == 429


async def test_a_handler_names_the_cost_as_the_page_says(tmp_path: Path) -> None:
    """One unit before it runs, eleven after its answer."""
    product = block("python", "FastAPI()") + block("python", ".settle(")
    async with served_page(product, policy(), tmp_path, 100) as (platform, client):
        assert (await client.post("/api/v1/report")).json() == {"pages": 12}
        await soon(lambda: [each.amount for each in platform.consumes(ORG)], [1, 11].__eq__)


async def test_two_lines_charge_a_product_by_its_tokens(tmp_path: Path) -> None:
    """The product of docs/usage.md: 5 tokens in, 2 out."""
    product = block("python", "prompt_tokens", PAGE.with_name("usage.md"))
    chat = {"path": "/v1/chat/completions"}
    route = {"name": "llm", "match": chat, "meter": {"usage": {"format": "openai"}}}
    async with served_page(product, policy(routes=[route]), tmp_path, 100) as (platform, client):
        answer = await client.post("/v1/chat/completions", json={})
        assert answer.json()["usage"]["completion_tokens"] == 2
        await soon(lambda: [each.amount for each in platform.consumes(ORG)], [1, 6].__eq__)
