"""The whole chain on free ports of this machine: platform, product, sidecar, and a client.

`stack()` runs all of it in the test's own process; `tests.e2e.programs` runs the sidecar as a
process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families

from sidecar.app.wiring import App
from sidecar.domain.ports import Clock
from sidecar.local_platform.control_wire import OrgBody
from sidecar.local_platform.faults import Faults
from sidecar.local_platform.seeds import Seed
from sidecar.local_platform.server import LocalPlatform
from sidecar.settings.run import Settings, add_run_arguments
from tests.fakes.recording_product import RecordingProduct

PRODUCT: Final = "acme-notes"
KEY: Final = "bbas_e2e_0123456789abcdef"
SESSION_SECRET: Final = "e2e-session-secret-0123456789abcdef"
CHAT: Final = "/api/v1/chat"
ORG: Final = "org_acme"

T = TypeVar("T")

Orgs = Mapping[str, int | Mapping[str, int]]
"""Each org's limit of ai_calls, or its limits by resource; -1 is unlimited."""

PATIENCE: Final = 30.0
"""Seconds for an answer of a sidecar or a platform, on a machine that is busy."""

LOCAL: Final = "127.0.0.1/32"
"""For `trusted_proxies`: believe the test's own request IDs."""


def policy(
    *,
    defaults: Mapping[str, Any] | None = None,
    routes: Sequence[Mapping[str, Any]] = (),
    **rest: Any,
) -> str:
    """Write a policy: the given routes first, then `/api/v1/**` and `/v1/**` metered as `ai`."""
    metered = [
        {"name": "ai", "match": {"path": "/api/v1/**"}, "meter": {}},
        {"name": "v1", "match": {"path": "/v1/**"}, "meter": {}},
    ]
    identity = [
        {"cookie": "bb_at"},
        {"bearer": True},
        {"cookie": f"{PRODUCT}_session", "secret_env": "APP_SESSION_SECRET"},
    ]
    document = {
        "version": 1,
        "product": PRODUCT,
        "identity": identity,
        # Long enough for a busy machine: a test that wants a timeout asks for a short one.
        "defaults": {"resource": "ai_calls", "platform_timeout": "5s", **(defaults or {})},
        "routes": [*routes, *metered],
        "unmatched": "allow",
        **rest,
    }
    return yaml.safe_dump(document, sort_keys=False)


def seed(orgs: Orgs) -> Seed:
    """Make a seed of one product and these orgs."""
    return Seed.model_validate(
        {
            "products": [{"slug": PRODUCT, "key": KEY}, {"slug": "other-app", "key": "bbas_other"}],
            "orgs": [
                {
                    "id": org_id,
                    "plan": "pro",
                    "apps": [PRODUCT],
                    "quotas": {"ai_calls": limits} if isinstance(limits, int) else dict(limits),
                }
                for org_id, limits in orgs.items()
            ],
        }
    )


@dataclass
class Place:
    """Where a sidecar's surroundings are, and what it is started with."""

    policy_file: Path
    upstream_url: str
    platform_url: str
    issuer: str
    environ: dict[str, str]

    def flags(self, **flags: Any) -> list[str]:
        """Return the arguments of `run`; `drain_seconds=2` becomes `--drain-seconds 2`."""
        given = {
            "policy": self.policy_file,
            "upstream": self.upstream_url,
            "host": "127.0.0.1",
            "port": 0,
            "admin": "127.0.0.1:0",
            "platform_url": self.platform_url,
            "auth_url": self.platform_url,
            "issuer": self.issuer,
            **flags,
        }
        pairs = ((f"--{name.replace('_', '-')}", str(value)) for name, value in given.items())
        return [word for pair in pairs for word in pair]

    def settings(self, **flags: Any) -> Settings:
        """Read the settings as the command would."""
        parser = argparse.ArgumentParser()
        add_run_arguments(parser)
        return Settings.from_args(parser.parse_args(self.flags(**flags)), self.environ)


class Page:
    """A scrape of /metrics, by name and labels."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def sum(self, name: str, **labels: str) -> float:
        """Add up the samples of a metric that carry all of these labels."""
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == f"bb_sidecar_{name}" and labels.items() <= sample.labels.items()
        )

    def by(self, name: str, label: str) -> dict[str, float]:
        """Add up the samples of a metric by one label; what is nought is left out."""
        found: defaultdict[str, float] = defaultdict(float)
        for sample in self.samples:
            if sample.name == f"bb_sidecar_{name}" and sample.value:
                found[sample.labels[label]] += sample.value
        return dict(found)


class Sidecar(Protocol):
    """One that runs, in this process or another."""

    @property
    def url(self) -> str:
        """Where it takes requests."""

    @property
    def admin_url(self) -> str:
        """Where it tells of itself."""


class Stack:
    """A running chain; what asks one sidecar asks the first."""

    def __init__(
        self,
        place: Place,
        platform: LocalPlatform,
        upstream: RecordingProduct,
        sidecars: Sequence[Sidecar],
    ) -> None:
        self.place = place
        self.platform = platform
        self.upstream = upstream
        self.sidecars = sidecars
        self.client = httpx.AsyncClient(base_url=self.url, timeout=20.0)

    @property
    def url(self) -> str:
        """Where the first sidecar takes requests."""
        return self.sidecars[0].url

    @property
    def admin(self) -> str:
        """Where the first sidecar tells of itself."""
        return self.sidecars[0].admin_url

    def token(self, org: str = ORG, **wanted: Any) -> str:
        """Return a `bb_at` of an org."""
        return self.platform.mint_token(org, **wanted)

    def cookie(self, org: str = ORG, **wanted: Any) -> dict[str, str]:
        """Return the header that carries a `bb_at`."""
        return {"cookie": f"bb_at={self.token(org, **wanted)}"}

    def charges(self, org: str | None = ORG, resource: str = "ai_calls") -> int:
        """Return the units that the platform has counted; of all orgs for None."""
        found = self.platform.consumes(org)
        return sum(each.amount for each in found if each.resource == resource)

    def executions(self, org: str | None = ORG) -> int:
        """Return how often the product was called for an org; for any caller for None."""
        return sum(1 for each in self.upstream.executions if org in {None, each.org_id})

    async def call(
        self, path: str = CHAT, *, method: str = "POST", org: str | None = ORG, **more: Any
    ) -> httpx.Response:
        """Send one request to the first sidecar, as somebody of `org`."""
        headers = dict(more.pop("headers", {}))
        if org is not None:
            headers |= self.cookie(org)
        if method == "POST" and not {"json", "content"} & more.keys():
            more["json"] = {"message": "hello"}
        return await self.client.request(method, path, headers=headers, **more)

    async def fault(self, **faults: Any) -> None:
        """Replace the platform's faults; none given clears them."""
        async with httpx.AsyncClient(base_url=self.platform.url, timeout=PATIENCE) as client:
            answer = await client.put("/_control/faults", json=Faults(**faults).model_dump())
            answer.raise_for_status()

    def limit(self, org: str, limit: int, **change: Any) -> None:
        """Give an org another limit of ai_calls."""
        body = {"apps": [PRODUCT], "quotas": {"ai_calls": limit}, **change}
        self.platform.put_org(org, OrgBody.model_validate(body))

    async def metrics(self) -> Page:
        """Scrape the first sidecar."""
        return await scrape(self.admin)

    async def metrics_of(self, sidecar: Sidecar) -> Page:
        """Scrape one of several sidecars."""
        return await scrape(sidecar.admin_url)

    async def stop(self) -> None:
        """Stop the sidecars of this process before the end; each reports its journal first."""
        for sidecar in self.sidecars:
            assert isinstance(sidecar, App)
            await sidecar.stop(2.0)

    async def reported(self) -> Page:
        """Wait until the journal owes nothing; return the scrape that says so."""
        return await eventually(self.metrics, lambda page: not page.sum("journal_pending_units"))


async def scrape(admin: str) -> Page:
    """Read /metrics of the sidecar whose admin URL is given."""
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        answer = await client.get(f"{admin}/metrics")
        answer.raise_for_status()
        return Page(answer.text)


async def eventually(
    read: Callable[[], Awaitable[T]], wanted: Callable[[T], bool], *, seconds: float = 60.0
) -> T:
    """Read again and again until what is read is wanted; AssertionError after `seconds`."""
    until = time.monotonic() + seconds
    while not wanted(found := await read()):
        assert time.monotonic() < until, f"after {seconds} s still {getattr(found, 'text', found)}"
        await asyncio.sleep(0.02)
    return found


async def soon(read: Callable[[], T], wanted: Callable[[T], bool], *, seconds: float = 60.0) -> T:
    """Do as `eventually`, for what is read without waiting."""

    async def read_now() -> T:
        return read()

    return await eventually(read_now, wanted, seconds=seconds)


@contextlib.asynccontextmanager
async def surroundings(
    policy: str,
    orgs: Orgs | None,
    environ: Mapping[str, str] | None,
    platform_url: str | None,
    upstream_url: str | None,
) -> AsyncIterator[tuple[Place, LocalPlatform, RecordingProduct]]:
    """Run what a sidecar needs around it."""
    async with contextlib.AsyncExitStack() as owned:
        folder = owned.enter_context(tempfile.TemporaryDirectory(prefix="bb-e2e-"))
        policy_file = _written(Path(folder, "policy.yaml"), policy)
        platform = LocalPlatform(seed=seed(orgs or {ORG: 25}), close_deadline=0.5)
        await platform.start()
        owned.push_async_callback(platform.close)
        upstream = RecordingProduct()
        await upstream.start()
        owned.push_async_callback(upstream.close)
        secrets = {"PLATFORM_INTERNAL_KEY": KEY, "APP_SESSION_SECRET": SESSION_SECRET}
        place = Place(
            policy_file,
            upstream_url or upstream.url,
            platform_url or platform.url,
            platform.url,
            {**secrets, **(environ or {})},
        )
        yield place, platform, upstream


@contextlib.asynccontextmanager
async def stack(
    *,
    policy: str = policy(),
    orgs: Orgs | None = None,
    environ: Mapping[str, str] | None = None,
    clock: Clock = time,
    replicas: int = 1,
    platform_url: str | None = None,
    upstream_url: str | None = None,
    **flags: Any,
) -> AsyncIterator[Stack]:
    """Run a whole chain with the given policy text, orgs and flags of `run`.

    `clock` is the sidecars' alone. `platform_url` and `upstream_url` are what they are told in
    place of the true ones: something in between, or nothing at all.
    """
    async with contextlib.AsyncExitStack() as owned:
        place, platform, upstream = await owned.enter_async_context(
            surroundings(policy, orgs, environ, platform_url, upstream_url)
        )
        apps = [App(place.settings(**flags), place.environ, clock=clock) for _ in range(replicas)]
        for app in apps:
            owned.push_async_callback(app.stop, 2.0)
            await app.start()
        running = Stack(place, platform, upstream, apps)
        owned.push_async_callback(running.client.aclose)
        yield running


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path
