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
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families

from sidecar.app import App
from sidecar.demo.upstream import DemoUpstream
from sidecar.local_platform.control_wire import OrgBody
from sidecar.local_platform.faults import Faults
from sidecar.local_platform.seeds import Seed
from sidecar.local_platform.server import LocalPlatform
from sidecar.ports import Clock
from sidecar.settings import Settings, add_run_arguments

PRODUCT: Final = "acme-notes"
KEY: Final = "bbas_e2e_0123456789abcdef"
SESSION_SECRET: Final = "e2e-session-secret-0123456789abcdef"
CHAT: Final = "/api/v1/chat"
ORG: Final = "org_acme"

T = TypeVar("T")

Orgs = Mapping[str, int | Mapping[str, int]]
"""Each org's limit of ai_calls, or its limits by resource; -1 is unlimited."""

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
    environ: dict[str, str] = field(default_factory=dict)

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


class Stack:
    """A running chain. `app` is the first sidecar; `client` talks to it."""

    def __init__(
        self, place: Place, platform: LocalPlatform, upstream: DemoUpstream, apps: Sequence[App]
    ) -> None:
        self.place = place
        self.platform = platform
        self.upstream = upstream
        self.apps = apps
        self.client = httpx.AsyncClient(base_url=apps[0].url, timeout=20.0)

    @property
    def app(self) -> App:
        """The first sidecar."""
        return self.apps[0]

    @property
    def url(self) -> str:
        """Where the first sidecar takes requests."""
        return self.app.url

    @property
    def admin(self) -> str:
        """Where the first sidecar tells of itself."""
        return self.app.admin_url

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
        async with httpx.AsyncClient(base_url=self.platform.url) as client:
            answer = await client.put("/_control/faults", json=Faults(**faults).model_dump())
            answer.raise_for_status()

    def limit(self, org: str, limit: int, **change: Any) -> None:
        """Give an org another limit of ai_calls."""
        body = {"apps": [PRODUCT], "quotas": {"ai_calls": limit}, **change}
        self.platform.put_org(org, OrgBody.model_validate(body))

    async def metrics(self) -> Page:
        """Scrape the first sidecar."""
        return await scrape(self.admin)

    async def reported(self) -> Page:
        """Wait until the journal owes nothing; return the scrape that says so."""
        return await eventually(self.metrics, lambda page: not page.sum("journal_pending_units"))


async def scrape(admin: str) -> Page:
    """Read /metrics of the sidecar whose admin URL is given."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{admin}/metrics")
        answer.raise_for_status()
        return Page(answer.text)


async def eventually(
    read: Callable[[], Awaitable[T]], wanted: Callable[[T], bool], *, seconds: float = 15.0
) -> T:
    """Read again and again until what is read is wanted; AssertionError after `seconds`."""
    until = time.monotonic() + seconds
    while not wanted(found := await read()):
        assert time.monotonic() < until, f"after {seconds} s still {getattr(found, 'text', found)}"
        await asyncio.sleep(0.02)
    return found


async def soon(read: Callable[[], T], wanted: Callable[[T], bool], *, seconds: float = 15.0) -> T:
    """Do as `eventually`, for what is read without waiting."""

    async def read_now() -> T:
        return read()

    return await eventually(read_now, wanted, seconds=seconds)


@contextlib.contextmanager
def place_for(
    text: str, platform_url: str, upstream_url: str, environ: Mapping[str, str] | None = None
) -> Iterator[Place]:
    """Write the policy into a folder of its own, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="bb-e2e-") as folder:
        policy_file = Path(folder, "policy.yaml")
        policy_file.write_text(text)
        secrets = {"PLATFORM_INTERNAL_KEY": KEY, "APP_SESSION_SECRET": SESSION_SECRET}
        yield Place(policy_file, upstream_url, platform_url, {**secrets, **(environ or {})})


@contextlib.asynccontextmanager
async def stack(
    *,
    policy: str = policy(),
    orgs: Orgs | None = None,
    environ: Mapping[str, str] | None = None,
    clock: Clock = time,
    replicas: int = 1,
    seen_platform: str | None = None,
    seen_upstream: str | None = None,
    **flags: Any,
) -> AsyncIterator[Stack]:
    """Run a whole chain with the given policy text, orgs and flags of `run`.

    `clock` is the sidecar's alone. `seen_platform` and `seen_upstream` are URLs that the sidecar
    is given in place of the true ones: something in between, or nothing at all.
    """
    async with contextlib.AsyncExitStack() as owned:
        platform = LocalPlatform(seed=seed(orgs or {ORG: 25}), close_deadline=0.5)
        await platform.start()
        owned.push_async_callback(platform.close)
        upstream = DemoUpstream()
        await upstream.start()
        owned.push_async_callback(upstream.close)
        platform_url = seen_platform or platform.url
        place = owned.enter_context(
            place_for(policy, platform_url, seen_upstream or upstream.url, environ)
        )
        flags = {"issuer": platform.url, **flags}
        apps = [App(place.settings(**flags), place.environ, clock=clock) for _ in range(replicas)]
        for app in apps:
            owned.push_async_callback(app.stop, 2.0)
            await app.start()
        running = Stack(place, platform, upstream, apps)
        owned.push_async_callback(running.client.aclose)
        yield running
