"""docs/local-platform.md, executed: its seed is loaded and its curl lines are run."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from sidecar.local_platform import LocalPlatform, Malformed, Seed
from sidecar.local_platform.faults import Faults
from sidecar.local_platform.seeds import parse_seed

PAGE = (Path(__file__).parents[3] / "docs" / "local-platform.md").read_text(encoding="utf-8")
CURL_LINES = [
    line
    for block in re.findall(r"```sh curl\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]


def documented_seed() -> Seed:
    """The page's own seed."""
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    return parse_seed(text.encode(), "docs/local-platform.md")


async def test_every_curl_line_works() -> None:
    """In the page's order, each answered with success."""
    async with LocalPlatform(seed=documented_seed()) as platform:
        assert CURL_LINES
        for line in CURL_LINES:
            process = await asyncio.create_subprocess_shell(
                line.replace("http://127.0.0.1:8092", platform.url),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            _, error = await process.communicate()
            assert process.returncode == 0, f"{line}\n{error.decode()}"


@pytest.mark.parametrize("name", [*Faults.model_fields, *(kind.value for kind in Malformed)])
def test_every_fault_is_on_the_page(name: str) -> None:
    """A fault that nobody can find is none."""
    assert f"`{name}`" in PAGE
