"""`bb-sidecar demo` as its reader meets it: the printed lines, pasted into a shell."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import re
import signal
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from importlib.resources import as_file, files
from urllib.parse import urlsplit

import pytest

from sidecar.demo import run
from sidecar.demo.run import DemoPorts, _demo
from sidecar.domain.errors import UserError
from sidecar.policy.load import load_policy
from tests.e2e.harness import eventually
from tests.fakes.recording_product import RecordingProduct


@dataclass(frozen=True, slots=True)
class Printed:
    """What a running demo printed."""

    text: str

    @property
    def curl(self) -> list[str]:
        """The lines to paste, in order, each after the variables that it needs."""
        variables = "; ".join(re.findall(r"^export .*$", self.text, re.MULTILINE))
        lines = re.findall(r"^curl .*$", self.text, re.MULTILINE)
        return [f"{variables}; {line}" for line in lines]

    @property
    def quota(self) -> str:
        """The line that shows what is left."""
        found = re.search(r"curl -s \S+/quota$", self.text, re.MULTILINE)
        assert found
        return found[0]


@pytest.fixture
async def printed(capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Printed]:
    """A running demo's introduction; afterwards an interrupt must end the demo."""
    running = asyncio.create_task(_demo(DemoPorts()))
    text = ""
    async with asyncio.timeout(20):
        while "Ctrl-C" not in text:
            assert not running.done(), running.exception()
            await asyncio.sleep(0.01)
            text += capsys.readouterr().out
    yield Printed(text)
    os.kill(os.getpid(), signal.SIGINT)
    async with asyncio.timeout(10):
        await running


async def paste(line: str) -> str:
    """Run a line in a shell, as a reader does; return what it printed."""
    shell = await asyncio.create_subprocess_exec(
        "bash", "-c", line, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await shell.communicate()
    assert shell.returncode == 0, line
    return output.decode().replace("\r\n", "\n")


async def test_first_line_is_allowed_and_tells_the_quota(printed: Printed) -> None:
    """200, the product's answer, and what is left of 25."""
    head, _, body = (await paste(printed.curl[0])).partition("\n\n")
    assert head.startswith("HTTP/1.1 200 ")
    assert 'RateLimit-Policy: "ai_calls";q=25;w=2592000' in head
    assert 'RateLimit: "ai_calls";r=24;t=' in head
    assert json.loads(body)["choices"][0]["message"]["content"] == "You said: hello"


async def test_second_line_streams_to_its_end(printed: Printed) -> None:
    """Several events, the last one `[DONE]`."""
    events = (await paste(printed.curl[1])).strip().split("\n\n")
    assert len(events) > 3
    assert all(event.startswith("data: ") for event in events)
    assert events[-1] == "data: [DONE]"


async def test_third_line_is_over_quota(printed: Printed) -> None:
    """429, and a problem with the time when the quota is reset."""
    head, _, body = (await paste(printed.curl[2])).partition("\n\n")
    problem = json.loads(body)
    assert head.startswith("HTTP/1.1 429 ")
    assert "application/problem+json" in head
    assert (problem["reason"], problem["limit"], problem["remaining"]) == ("over_quota", 3, 0)
    assert re.fullmatch(r"\d{4}-\d{2}-01T00:00:00Z", problem["reset_at"])


async def test_last_line_is_charged_by_its_tokens(printed: Printed) -> None:
    """One unit before it runs, and three when its answer has named 7 tokens and 9."""
    head, _, body = (await paste(printed.curl[3])).partition("\n\n")
    assert head.startswith("HTTP/1.1 200 ")
    assert 'RateLimit: "ai_calls";r=24;t=' in head
    usage = json.loads(body)["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (7, 9)
    await eventually(
        lambda: paste(printed.quota), lambda found: '"used":4' in found.replace(" ", "")
    )


async def charged(printed: Printed) -> tuple[int, int]:
    """Return what calls cost by the metrics, and what the platform counted, in units."""
    metrics, counted = await paste(printed.curl[-2]), await paste(printed.curl[-1])
    units = re.findall(r'(?:"within_quota"|"counted").*} (\d+)', metrics)
    return sum(map(int, units)), sum(one["amount"] for one in json.loads(counted))


async def test_metrics_agree_with_what_was_counted(printed: Printed) -> None:
    """Two lines agree on the calls before them, and on one that is charged by its tokens."""
    for line in printed.curl[:3]:
        await paste(line)
    assert await charged(printed) == (5, 5)
    await paste(printed.curl[3])
    await eventually(lambda: charged(printed), lambda found: found == (9, 9))


async def test_taken_port_is_told_in_one_line(upstream: RecordingProduct) -> None:
    """A port that something else has is the user's mistake."""
    with pytest.raises(UserError, match="free"):
        await _demo(DemoPorts(upstream=urlsplit(upstream.url).port or 0))


def test_a_warning_is_a_whole_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its level and fields: the bare name of an event would say nothing."""

    def warns(demo: Coroutine[None, None, None]) -> None:
        demo.close()
        logging.getLogger("sidecar.events").warning("fail_open_started", extra={"org": "org_acme"})

    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr("uvloop.run", warns)
    run.demo(
        argparse.Namespace(port=0, admin_port=0, platform_port=0, upstream_port=0, door="proxy"), {}
    )
    logging.captureWarnings(capture=False)
    line = capsys.readouterr().err
    assert "WARNING fail_open_started" in line
    assert "org=org_acme" in line


def test_a_busy_machine_is_no_outage() -> None:
    """The three parts share one process: a pause of theirs must not be shown as a failure."""
    with as_file(files("sidecar.demo") / "policy.yaml") as path:
        policy = load_policy(path.read_bytes(), file=str(path), environ={})
    assert {each.meter.platform_timeout for each in policy.routes if each.meter} == {2.0}
