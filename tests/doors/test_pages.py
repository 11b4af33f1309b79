"""What docs/doors.md prints runs as it is printed."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import httpx

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


async def test_two_lines_meter_a_fastapi_product(tmp_path: Path) -> None:
    """The product of the page, served by the command of the page."""
    (tmp_path / "product.py").write_text(block("python", "FastAPI()"))
    (tmp_path / "policy.yaml").write_text(policy())
    words = block("bash", "uvicorn product:app").split()
    assert words == ["PLATFORM_INTERNAL_KEY=bbas_local_only", "uvicorn", "product:app"]
    port = free_port()
    async with surroundings(policy(), {ORG: 1}, None, None, "http://x") as (place, platform, _):
        environ = environ_of(place)
        del environ["SIDECAR_POLICY"]  # the page names the file
        process = await start(
            str(Path(sys.executable).with_name("uvicorn")),
            *("product:app", "--app-dir", str(tmp_path), "--port", str(port)),
            environ=environ,
            folder=tmp_path,
        )
        url = f"http://127.0.0.1:{port}"
        try:
            await answering(process, f"{url}/docs")
            cookie = {"cookie": f"bb_at={platform.mint_token(ORG)}"}
            async with httpx.AsyncClient(base_url=url, headers=cookie) as client:
                first = await client.post("/api/v1/chat")
                second = await client.post("/api/v1/chat")
        finally:
            await process.close()
    assert first.json() == {"hello": ORG, "reason": "within_quota"}
    assert second.status_code == 429
