"""`bb-sidecar demo --door asgi` and `--door aiohttp`: the printed lines, pasted into a shell."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator

import pytest

from sidecar.demo import metered
from sidecar.demo.run import DemoDoor, DemoPorts, _demo
from sidecar.domain.errors import UserError
from tests.e2e.harness import eventually
from tests.fakes.doors import leave_our_log
from tests.unit.demo.test_run import Printed, paste

DOORS = (DemoDoor.ASGI, DemoDoor.AIOHTTP)


@pytest.fixture(params=DOORS)
async def printed(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[Printed]:
    """A running demo's introduction; afterwards an interrupt must end the demo."""
    running = asyncio.create_task(_demo(DemoPorts(), request.param))
    text = ""
    async with asyncio.timeout(40):
        while "Ctrl-C" not in text:
            assert not running.done(), running.exception()
            await asyncio.sleep(0.01)
            text += capsys.readouterr().out
    yield Printed(text)
    os.kill(os.getpid(), signal.SIGINT)
    async with asyncio.timeout(20):
        await running
    leave_our_log()


async def charged(printed: Printed) -> tuple[int, int]:
    """Return what calls cost by the metrics, and what the platform counted, in units."""
    metrics, counted = await paste(printed.curl[-2]), await paste(printed.curl[-1])
    units = re.findall(r'(?:"within_quota"|"counted").*} (\d+)', metrics)
    return sum(map(int, units)), sum(one["amount"] for one in json.loads(counted))


async def test_every_line_does_what_it_says(printed: Printed) -> None:
    """Allowed, streamed, over quota, by tokens, and by what the handler says; the books agree."""
    lines = printed.curl
    assert "no sidecar is before it" in printed.text
    assert (await paste(lines[0])).startswith("HTTP/1.1 200 ")
    assert (await paste(lines[1])).rstrip().endswith("data: [DONE]")
    assert (await paste(lines[2])).startswith("HTTP/1.1 429 ")
    by_tokens = await paste(lines[3])
    assert '"prompt_tokens":7' in by_tokens.replace(" ", "")
    named = await paste(lines[4])
    assert json.loads(named.partition("\n\n")[2]) == {"pages": 6}
    # 1 + 1 + 3 of the org that spent, then 4 and 6
    await eventually(lambda: charged(printed), lambda found: found == (15, 15))


async def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, with what installs it."""
    monkeypatch.setattr(metered, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install fastapi uvicorn"):
        await _demo(DemoPorts(), DemoDoor.ASGI)
