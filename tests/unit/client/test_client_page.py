"""The page about the client: its example runs, and its table has every method."""

from __future__ import annotations

import functools
import inspect
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

import sidecar.client
from sidecar.client import PlatformClient
from sidecar.domain.model import Resource
from sidecar.local_platform import ApiKey, LocalPlatform, Seed, SeedOrg, SeedProduct

PAGE = Path(__file__).parents[3] / "docs" / "client.md"


async def test_the_example_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Against a local platform, to its last line."""
    seed = Seed(
        products=[SeedProduct(slug="acme-notes", key="bbas_page")],
        orgs=[
            SeedOrg(
                id="org_acme",
                plan="pro",
                apps=["acme-notes"],
                quotas={Resource.AI_CALLS: 25},
                keys=[ApiKey(key="bbk_page")],
            )
        ],
    )
    (example,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    written: list[str] = []

    async def write_report() -> None:
        written.append("report")

    async with LocalPlatform(seed=seed) as local:
        made = functools.partial(PlatformClient, url=local.url, auth_url=local.url)
        monkeypatch.setattr(sidecar.client, "PlatformClient", made)
        names: dict[str, Any] = {
            "bbas": "bbas_page", "bbk": "bbk_page", "job_id": 17, "write_report": write_report,
        }  # fmt: skip
        exec(f"async def example():\n{textwrap.indent(example, '    ')}", names)  # noqa: S102 - our own page
        await names["example"]()
        assert [each.amount for each in local.consumes("org_acme")] == [3]

    assert written == ["report"]
    assert capsys.readouterr().out == "Report of May\n"


def test_the_table_has_every_method() -> None:
    """One that is not there does not exist for readers."""
    methods = {
        name
        for name, value in inspect.getmembers(PlatformClient)
        if not name.startswith("_") and callable(value)
    }
    table = PAGE.read_text().partition("| method |")[2].partition("\n\n")[0]
    assert methods == set(re.findall(r"`([a-z_]+)`", table)) - {"bbas_", "bbk_"}
