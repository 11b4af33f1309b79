"""What docs/doors.md prints runs as it is printed."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import httpx
import pytest

from tests.doors.serving import answering, environ_of
from tests.e2e.harness import ORG, policy, surroundings
from tests.e2e.programs import start
from tests.free_ports import free_port

PAGE = Path(__file__).parents[2] / "docs" / "doors.md"


def block(language: str, holds: str) -> str:
    """Return the first block of code in a language that holds a text."""
    text = PAGE.read_text(encoding="utf-8")
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
    words = block("bash", "uvicorn product:app").split()
    assert words == ["PLATFORM_INTERNAL_KEY=bbas_local_only", "uvicorn", "product:app"]


@pytest.mark.parametrize("framework", ["FastAPI()", "web.Application()"])
async def test_two_lines_meter_a_product(framework: str, tmp_path: Path) -> None:
    """The product of the page, served on a real socket."""
    (tmp_path / "product.py").write_text(block("python", framework))
    (tmp_path / "policy.yaml").write_text(policy())
    port = free_port()
    serve = [sys.executable, "-c", SERVE, str(port)]
    if framework == "FastAPI()":
        uvicorn = str(Path(sys.executable).with_name("uvicorn"))
        serve = [uvicorn, "product:app", "--app-dir", str(tmp_path), "--port", str(port)]
    async with surroundings(policy(), {ORG: 1}, None, None, "http://x") as (place, platform, _):
        environ = environ_of(place)
        del environ["SIDECAR_POLICY"]  # the page names the file
        process = await start(*serve, environ=environ, folder=tmp_path)
        url = f"http://127.0.0.1:{port}"
        try:
            await answering(process, f"{url}/nowhere", 404)
            cookie = {"cookie": f"bb_at={platform.mint_token(ORG)}"}
            async with httpx.AsyncClient(base_url=url, headers=cookie) as client:
                first = await client.post("/api/v1/chat")
                second = await client.post("/api/v1/chat")
        finally:
            await process.close()
    assert first.json() == {"hello": ORG, "reason": "within_quota"}
    assert second.status_code == 429
