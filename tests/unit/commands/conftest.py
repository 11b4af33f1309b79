"""A local platform in a thread of its own: the commands run a loop of theirs."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sidecar.cli import main
from sidecar.domain.model import Resource
from sidecar.local_platform import ApiKey, LocalPlatform, Seed, SeedOrg, SeedProduct

ORG = "org_acme"
PRODUCT = "acme-notes"
INTERNAL_KEY = "bbas_commands_0123"
API_KEY = "bbk_commands_0123"


def seed() -> Seed:
    """One product with one org, another that the org does not have."""
    return Seed(
        products=[
            SeedProduct(slug=PRODUCT, key=INTERNAL_KEY),
            SeedProduct(slug="other-app", key="bbas_other"),
        ],
        orgs=[
            SeedOrg(
                id=ORG,
                plan="pro",
                apps=[PRODUCT],
                quotas={Resource.AI_CALLS: 25, Resource.API_CALLS: -1},
                keys=[
                    ApiKey(key=API_KEY, product=PRODUCT),
                    ApiKey(key="bbk_writes_only", scopes=["write"]),
                ],
            )
        ],
    )


class ThreadedPlatform:
    """A local platform for as long as the block lasts."""

    def __init__(self) -> None:
        self.url = ""
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> ThreadedPlatform:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        async with LocalPlatform(seed=seed(), close_deadline=0.5) as local:
            self.url = local.url
            self._ready.set()
            await self._end.wait()


@pytest.fixture(scope="module")
def platform() -> Iterator[str]:
    """The URL of a platform that the module's tests share."""
    with ThreadedPlatform() as running:
        yield running.url


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        """Return what it wrote as data."""
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(platform: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `bb-sidecar` as a product's container would; `environ` replaces variables."""

    def run_command(*words: str, **environ: str) -> Ran:
        given = {
            "PLATFORM_API_URL": platform,
            "AUTH_SERVICE_URL": platform,
            "PLATFORM_INTERNAL_KEY": INTERNAL_KEY,
            "BIZBASICS_API_KEY": API_KEY,
            **environ,
        }
        for name in ("SIDECAR_KEY_FILE", "SIDECAR_API_KEY_FILE", "SIDECAR_POLICY", "PRODUCT_SLUG"):
            monkeypatch.delenv(name, raising=False)
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        status = main(words)
        told = capsys.readouterr()
        return Ran(status, told.out, told.err)

    return run_command
