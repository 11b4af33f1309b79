"""Twelve hours of real sidecars in a minute, kept by a real Prometheus: what the pictures show.

The sidecars and the platform share a clock that is moved two minutes forward after each round of
calls. Their pages of metrics are written down with that time, and promtool makes blocks of them, so
that the dashboards' expressions run as they are shipped.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import re
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from sidecar.app.wiring import App
from sidecar.local_platform.faults import Faults
from sidecar.local_platform.server import LocalPlatform
from tests.e2e.harness import KEY, Place, Stack, eventually, policy, seed
from tests.fakes.recording_product import RecordingProduct
from tests.kubernetes.observability.servers import Prometheus, prometheus, promtool

BEGIN: Final = 1_760_428_800.0  # Tuesday, 14 October 2025, 08:00 UTC
STEP: Final = 120.0
STEPS: Final = 360
END: Final = BEGIN + STEP * STEPS

LIMITS: Final = {
    "org_acme": {"ai_calls": 120_000},
    "org_globex": {"ai_calls": 3_000},
    "org_hooli": {"ai_calls": 100_000},
    "org_initech": {"ai_calls": 20_000},
    "org_umbrella": {"ai_calls": -1},
}
USED_BEFORE: Final = {
    "org_acme": 61_000,
    "org_globex": 2_450,
    "org_hooli": 55_000,
    "org_initech": 16_900,
}
"""What each org has used since the first of the month: hooli runs out in days, globex today."""

CALLS_A_STEP: Final = {
    "org_acme": 5.0,
    "org_globex": 2.0,
    "org_hooli": 6.0,
    "org_initech": 1.0,
    "org_umbrella": 4.0,
}
AMOUNT: Final = {"org_acme": 8, "org_hooli": 5}
ROUTES: Final[Sequence[dict[str, Any]]] = (
    {
        "name": "chat",
        "match": {"path": "/api/v1/chat", "methods": ["POST"]},
        "meter": {"amount": {"json": "/n", "default": 1, "max": 16}},
    },
    {"name": "messages", "match": {"path": "/v1/messages"}, "meter": {"accuracy": "lease"}},
    {"name": "admin", "match": {"path": "/api/admin/**"}, "action": "deny"},
)
POLICY: Final = policy(
    defaults={
        "platform_timeout": "300ms",
        "on_platform_error": "fail_open",
        "fail_open_budget": {"units": 400, "seconds": 3600},
    },
    routes=ROUTES,
)


class DayClock:
    """A `Clock` that begins on the morning of the day; it runs on, and is moved forward."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._moved = 0.0

    def move_to(self, when: float) -> None:
        """Move both readings to this Unix time."""
        self._moved += when - self.time()

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return 3600.0 + time.monotonic() - self._began + self._moved

    def time(self) -> float:
        """Unix seconds."""
        return BEGIN + time.monotonic() - self._began + self._moved


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong between two times of the day, in hours since its beginning."""

    begins: float
    ends: float
    faults: Faults = Faults()  # noqa: RUF009 - it is frozen
    product_away: bool = False
    bad_tokens: int = 0


TROUBLE: Final = (
    Trouble(2.0, 2.6, bad_tokens=4),
    Trouble(4.0, 4.4, product_away=True),
    Trouble(6.0, 7.0, Faults(status=503)),
    Trouble(9.0, 9.6, Faults(latency_ms=60)),
)


async def play(folder: Path, names: frozenset[str]) -> None:
    """Play the day; leave the metrics of these names as blocks in `folder`/tsdb."""
    clock, pages = DayClock(), folder / "pages.om"
    async with _chain(clock) as running:
        tokens = {org: running.token(org, ttl=2 * 86400) for org in LIMITS}
        with pages.open("w", encoding="utf-8") as file:
            for step in range(STEPS):
                clock.move_to(BEGIN + step * STEP)
                await _round(running, step, tokens)
                clock.move_to(BEGIN + (step + 1) * STEP - 1)
                for index, sidecar in enumerate(running.sidecars):
                    page = (await running.client.get(f"{sidecar.admin_url}/metrics")).text
                    file.writelines(_dated(page, names, f"acme-notes-{index}", clock.time()))
            file.write("# EOF\n")
    await asyncio.to_thread(
        promtool, "tsdb", "create-blocks-from", "openmetrics", str(pages), str(folder / "tsdb")
    )


@contextlib.asynccontextmanager
async def day(names: frozenset[str]) -> AsyncIterator[Prometheus]:
    """Play the day, and run a Prometheus that has all of it."""
    with tempfile.TemporaryDirectory(prefix="bb-day-") as made:
        await play(Path(made), names)
        async with prometheus(Path(made), [], [], [], lookback="5m") as asked:
            yield asked


@contextlib.asynccontextmanager
async def _chain(clock: DayClock) -> AsyncIterator[Stack]:
    async with contextlib.AsyncExitStack() as owned:
        folder = Path(owned.enter_context(tempfile.TemporaryDirectory(prefix="bb-day-")))
        platform = LocalPlatform(seed=seed(LIMITS), clock=clock, close_deadline=0.5)
        await platform.start()
        owned.push_async_callback(platform.close)
        upstream = RecordingProduct()
        await upstream.start()
        owned.push_async_callback(upstream.close)
        file = folder / "policy.yaml"
        file.write_text(POLICY, encoding="utf-8")
        secrets = {"PLATFORM_INTERNAL_KEY": KEY, "APP_SESSION_SECRET": "day-0123456789abcdef-0123"}
        place = Place(file, upstream.url, platform.url, platform.url, secrets)
        apps = [App(place.settings(log_level="error"), secrets, clock=clock) for _ in range(2)]
        for app in apps:
            owned.push_async_callback(app.stop, 1.0)
            await app.start()
        running = Stack(place, platform, upstream, apps)
        owned.push_async_callback(running.client.aclose)
        for org, amount in USED_BEFORE.items():
            answer = await running.client.post(
                f"{platform.url}/v1/quota/consume",
                json={"org_id": org, "resource": "ai_calls", "amount": amount},
                headers={"X-Internal-Key": KEY},
            )
            answer.raise_for_status()
        yield running


async def _round(running: Stack, step: int, tokens: Mapping[str, str]) -> None:
    """Make the calls of one step, as many as are usual at that time of the day."""
    hour, trouble = step * STEP / 3600, _trouble(step)
    running.platform.set_faults(trouble.faults)
    if trouble.product_away != _trouble(step - 1).product_away:
        if trouble.product_away:
            await running.upstream.close()
        else:
            await running.upstream.start(
                "127.0.0.1", urlsplit(running.place.upstream_url).port or 0
            )
    if trouble.faults.status is None and _trouble(step - 1).faults.status is not None:
        await _recovered(running)
    chance = random.Random(step)  # noqa: S311 - the same day each time
    busy = 1.2 + math.sin((hour - 2) / 12 * 2 * math.pi)
    calls = [
        _call(running, tokens[org], AMOUNT.get(org, 1), chance)
        for org, usual in CALLS_A_STEP.items()
        for _ in range(round(usual * busy + chance.random()))
    ]
    calls += [_refused(running, chance) for _ in range(trouble.bad_tokens)]
    await asyncio.gather(*calls)


async def _recovered(running: Stack) -> None:
    """Wait until the breakers have closed and the journals are empty: they go by real time."""
    for sidecar in running.sidecars:
        await eventually(
            partial(running.metrics_of, sidecar),
            lambda page: (
                not page.sum("platform_breaker_state") and not page.sum("journal_pending_units")
            ),
            seconds=60.0,
        )


def _trouble(step: int) -> Trouble:
    hour = step * STEP / 3600
    return next((each for each in TROUBLE if each.begins <= hour < each.ends), Trouble(0, 0))


async def _call(running: Stack, token: str, amount: int, chance: random.Random) -> None:
    path = "/v1/messages" if chance.random() < 0.2 else "/api/v1/chat"
    url = running.sidecars[chance.randrange(2)].url + path
    body = {"n": amount, "messages": [{"role": "user", "content": "hello"}]}
    await running.client.post(url, json=body, headers={"cookie": f"bb_at={token}"})
    if chance.random() < 0.05:
        await running.client.get(f"{url.removesuffix(path)}/api/admin/users")


async def _refused(running: Stack, chance: random.Random) -> None:
    url = f"{running.sidecars[chance.randrange(2)].url}/api/v1/chat"
    await running.client.post(url, json={}, headers={"cookie": "bb_at=no.token.atall"})


def _dated(page: str, names: frozenset[str], pod: str, when: float) -> list[str]:
    """Write the samples of a page as OpenMetrics with a time, and with the labels of a scrape."""
    place = f'namespace="acme",job="acme-notes",pod="{pod}",instance="{pod}:9901"'
    found = re.findall(r"^(\w+)(?:\{(.*)\})? (\S+)$", page, flags=re.MULTILINE)
    return [
        f"{name}{{{place}{',' if labels else ''}{labels}}} {value} {when:.3f}\n"
        for name, labels, value in found
        if name in names
    ]
