"""A bad day in a minute: real sidecars under traffic while everything that can go wrong does.

Each step makes one state that some panel or alert is there for. The sidecars have a clock that
jumps, so that a journal can be half a day old; what scrapes them has the machine's.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch
from urllib.parse import urlsplit

import httpx

from sidecar.app.wiring import App
from sidecar.inject.server import InjectorServer
from tests.e2e.harness import LOCAL, Orgs, Stack, policy, stack
from tests.kubernetes.observability.servers import Pod
from tests.unit.inject.pods import config
from tests.unit.inject.test_certificate import make_certificate

ORGS: Final[Orgs] = {
    "org_acme": {"ai_calls": 5000, "storage_bytes": 1_000_000},
    "org_globex": 30,
    "org_hooli": 900,
    "org_initech": 400,
    "org_soylent": 100,
    "org_umbrella": -1,
    "org_wonka": 100,
}
"""Limits, made so that at the traffic below one org ends at its limit and others on the way."""

ROUTES: Final[Sequence[dict[str, Any]]] = (
    {"name": "chat", "match": {"path": "/api/v1/chat", "methods": ["POST"]}, "meter": {}},
    {
        "name": "messages",
        "match": {"path": "/v1/messages"},
        "meter": {"accuracy": "lease", "on_platform_error": "last_known"},
    },
    {
        "name": "complete",
        "match": {"path": "/api/v1/complete"},
        "meter": {"on_platform_error": "fail_closed", "replay": "reject"},
    },
    {
        "name": "completions",
        "match": {"path": "/v1/chat/completions"},
        "meter": {"on_over_quota": "allow", "errors": "openai"},
    },
    {"name": "stream", "match": {"path": "/api/v1/stream"}, "meter": {"enforcement": "shadow"}},
    {
        "name": "upload",
        "match": {"path": "/api/files/*"},
        "meter": {"resource": "storage_bytes", "amount": {"header": "content-length"}},
    },
    {
        "name": "gemini",
        "match": {"path": "/v1beta/models/*"},
        "meter": {
            "usage": {
                "format": "gemini",
                "hold": {"json": "/generationConfig/maxOutputTokens", "default": 20, "max": 100},
            }
        },
    },
    {
        "name": "unnamed",
        "match": {"path": "/api/status/200"},
        "meter": {"usage": {"format": "openai", "per": 10}},
    },
    {
        "name": "dear",
        "match": {"path": "/api/v1/messages"},
        "meter": {"usage": {"format": "anthropic", "weights": {"output": 50}}},
    },
    {"name": "admin", "match": {"path": "/api/admin/**"}, "action": "deny"},
)
POLICY: Final = policy(
    defaults={
        "platform_timeout": "300ms",
        "on_platform_error": "fail_open",
        "fail_open_budget": {"units": 60, "seconds": 600},
    },
    routes=ROUTES,
)
ASKED: Final = {"model": "demo-small", "messages": [{"role": "user", "content": "hello there"}]}
ASKED_GEMINI: Final = {"contents": [{"parts": [{"text": "hello there"}]}]}
_ROOM: Final = 20
"""Requests at once that a pod has room for."""
_DAYS: Final = 3 * 86400
_HOURS: Final = 3600.0


class JumpingClock:
    """A `Clock`: the machine's clock, moved forward by `jump`."""

    def __init__(self) -> None:
        self._jumped = 0.0

    def jump(self, seconds: float) -> None:
        """Move both readings forward."""
        self._jumped += seconds

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic() + self._jumped

    def time(self) -> float:
        """Unix seconds."""
        return time.time() + self._jumped


@dataclass
class Crowd:
    """Callers that go on calling until the end; `pause` makes them wait."""

    running: Stack
    sent: int = 0
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _tokens: dict[str, str] = field(default_factory=dict)

    def let_in(self) -> None:
        """Let them call."""
        self._open.set()

    def hold(self) -> None:
        """Let no caller begin another call."""
        self._open.clear()

    def cookie(self, org: str) -> dict[str, str]:
        """Return the header that names an org, good for days of the sidecars' clock."""
        if org not in self._tokens:
            self._tokens[org] = self.running.token(org, ttl=_DAYS)
        return {"cookie": f"bb_at={self._tokens[org]}"}

    async def call(
        self, path: str, org: str | None, *, method: str = "POST", pod: int = 0, **more: Any
    ) -> None:
        """Call once; an answer that does not come is no fault of the caller."""
        headers = {**(self.cookie(org) if org else {}), **more.pop("headers", {})}
        if method == "POST" and "content" not in more:
            more.setdefault("json", ASKED)
        url = f"{self.running.sidecars[pod].url}{path}"
        self.sent += 1
        with contextlib.suppress(httpx.TransportError):
            await self.running.client.request(method, url, headers=headers, **more)

    async def keep_calling(self, every: float, path: str, org: str | None, **more: Any) -> None:
        """Call every so many seconds, at one pod and the other in turn."""
        turn = 0
        while True:
            await self._open.wait()
            turn += 1
            await self.call(path, org, pod=turn % 2, **more)
            await asyncio.sleep(every)

    async def call_at_once(self, times: int, path: str, org: str, **more: Any) -> None:
        """Call many times at once."""
        await asyncio.gather(*(self.call(path, org, pod=turn % 2, **more) for turn in range(times)))


HABITS: Final[Sequence[tuple[float, str, str | None, dict[str, Any]]]] = (
    (0.05, "/api/v1/chat", "org_acme", {}),
    (0.06, "/api/v1/chat", "org_hooli", {}),
    (0.10, "/api/v1/chat", "org_initech", {}),
    (0.40, "/api/v1/chat", "org_globex", {}),
    (4.00, "/api/v1/chat", "org_soylent", {}),
    (0.20, "/api/v1/chat", "org_umbrella", {}),
    (0.05, "/v1/messages", "org_acme", {}),
    (0.20, "/api/v1/complete", "org_initech", {}),
    (0.50, "/v1/chat/completions", "org_globex", {}),
    (0.30, "/api/files/notes.txt", "org_acme", {"method": "PUT", "content": b"a note" * 50}),
    (0.40, "/v1beta/models/demo:streamGenerateContent?alt=sse&interval_ms=80", "org_acme",
     {"json": ASKED_GEMINI}),
    (0.30, "/api/status/200", "org_umbrella", {}),
    (0.10, "/health", None, {"method": "GET"}),
    (0.10, "/api/v1/stream?n=12&pause_ms=60", "org_hooli", {"method": "GET"}),
    (0.10, "/api/v1/stream?n=12&pause_ms=60", "org_globex", {"method": "GET"}),
)  # fmt: skip
"""Who calls what, how often, all the time."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What is on stage."""

    running: Stack
    crowd: Crowd
    clock: JumpingClock
    pods: Sequence[Pod]
    injector: str
    leaving: contextlib.AsyncExitStack

    async def prepare(self) -> None:
        """Let one org use most of its quota, before anybody looks."""
        for _ in range(17):
            await self.crowd.call_at_once(5, "/api/v1/chat", "org_soylent")

    async def play(self) -> None:
        """Go through the day, step by step."""
        with _calling(self.crowd):
            await asyncio.sleep(7.0)  # a calm morning: what is usual
            await self._calls_beyond_a_quota()
            await self._mistakes_of_callers()
            await self._a_bad_policy()
            await self._a_product_that_is_away()
            await self._two_that_vanish()
            await self._more_than_fits()
            await self._a_machine_short_of_cpu()
            await self._a_slow_platform()
            await self._a_platform_whose_store_is_down()
            await self._a_withdrawn_key()
            await self._an_outage()
            await self._the_journal_grows_old()
            await self._all_is_well_again()

    async def _calls_beyond_a_quota(self) -> None:
        """Begin calls at once, without a hold, which end one after the other and cost too much."""
        stream = {**ASKED, "stream": True}
        await asyncio.gather(
            *(
                self.crowd.call(
                    f"/api/v1/messages?interval_ms={pause}",
                    "org_wonka",
                    pod=turn % 2,
                    json=stream,
                )
                for turn, pause in enumerate(range(20, 260, 20))
            )
        )

    async def _mistakes_of_callers(self) -> None:
        async def wrong() -> None:
            crowd = self.crowd
            for turn in range(40):
                await _ask_nonsense(self.injector)
                await asyncio.gather(
                    crowd.call("/api/v1/chat", None),
                    crowd.call("/api/v1/chat", None, headers={"cookie": "bb_at=no.token.atall"}),
                    crowd.call("/api/admin/users", "org_acme", method="GET"),
                    crowd.call("/api/v1/chat", "org_acme", headers={"x-request-id": "again"}),
                    crowd.call("/api/v1/complete", "org_acme", headers={"x-request-id": "same"}),
                    crowd.call("/api/v1/chat", "org_acme", pod=2 if turn % 4 == 0 else 1),
                )
                await asyncio.sleep(0.05)

        silent = await self._silent_connections(4)
        await wrong()
        for writer in silent:
            writer.close()

    async def _silent_connections(self, count: int) -> list[asyncio.StreamWriter]:
        """Begin heads that never end: the sidecar closes such connections."""
        where = urlsplit(self.running.url)
        writers = []
        for _ in range(count):
            _, writer = await asyncio.open_connection(where.hostname, where.port)
            writer.write(b"POST /api/v1/chat HTTP/1.1\r\nHost: ")
            writers.append(writer)
        return writers

    async def _a_bad_policy(self) -> None:
        file = self.running.place.policy_file
        good = file.read_text()
        file.write_text(good + "\nunknown: true\n")
        await self._reload()
        await asyncio.sleep(2.0)
        file.write_text(good + "\n# fixed\n")
        await self._reload()
        await self._reload()

    async def _reload(self) -> None:
        async with httpx.AsyncClient() as client:
            for app in self.running.sidecars:
                await client.post(f"{app.admin_url}/reload")

    async def _a_product_that_is_away(self) -> None:
        upstream = self.running.upstream
        where = urlsplit(upstream.url)
        await upstream.close()
        await asyncio.sleep(1.5)
        await upstream.start("127.0.0.1", where.port or 0)
        await asyncio.sleep(1.0)

    async def _two_that_vanish(self) -> None:
        """End the injector, and the only sidecar of another product."""
        await self.leaving.aclose()

    async def _more_than_fits(self) -> None:
        slow = "/api/v1/stream?n=12&interval_ms=60"
        for _ in range(4):  # a counter that is new has no rate yet: it must be seen to grow
            await self.crowd.call_at_once(_ROOM * 4, slow, "org_umbrella", method="GET")
            await asyncio.sleep(0.4)

    async def _a_machine_short_of_cpu(self) -> None:
        for _ in range(8):
            time.sleep(0.15)  # noqa: ASYNC251 - to hold the event loop is the point
            await asyncio.sleep(0.05)

    async def _a_slow_platform(self) -> None:
        await self.running.fault(latency_ms=90)
        await asyncio.sleep(4.0)

    async def _a_platform_whose_store_is_down(self) -> None:
        await self.running.fault(store_down=True)
        await asyncio.sleep(2.5)

    async def _a_withdrawn_key(self) -> None:
        await self.running.fault(status=401)
        await asyncio.sleep(2.5)

    async def _an_outage(self) -> None:
        await self.running.fault(status=503)
        await self.crowd.call_at_once(60, "/api/v1/chat", "org_acme")
        await asyncio.sleep(4.0)

    async def _the_journal_grows_old(self) -> None:
        for hours in (13.0, 12.0):
            self.crowd.hold()
            await asyncio.sleep(0.8)  # no call may be under way: it would seem to take hours
            self.clock.jump(hours * _HOURS)
            self.crowd.let_in()
            await asyncio.sleep(2.5)

    async def _all_is_well_again(self) -> None:
        await self.running.fault()
        self.crowd.hold()
        await asyncio.sleep(0.8)
        self.clock.jump(30.0)  # the breakers' longest pause is over
        self.crowd.let_in()
        await self.running.reported()
        await asyncio.sleep(4.0)


@contextlib.asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    """Set the stage: three pods, the last without its auth host and Redis, and an injector."""
    clock = JumpingClock()
    # The journal is tried again every second: its waits grow as windows do, and are shortened too.
    with patch("sidecar.admission.reporter.LONGEST_WAIT_SECONDS", 1.0):
        async with contextlib.AsyncExitStack() as leaving:
            injector, metrics = await leaving.enter_async_context(_injector())
            async with _stage(clock, injector, metrics, leaving) as made:
                yield made


@contextlib.asynccontextmanager
async def _injector() -> AsyncIterator[tuple[str, str]]:
    """Run an injector; give its URL, and the address of its metrics."""
    with tempfile.TemporaryDirectory() as folder:
        server = InjectorServer(config(), make_certificate(Path(folder), "injector"))
        try:
            port = await server.start("127.0.0.1", 0)
            plain = await server.start_plain("127.0.0.1", 0)
            yield f"https://127.0.0.1:{port}", f"127.0.0.1:{plain}"
        finally:
            await server.close()


@contextlib.asynccontextmanager
async def _stage(
    clock: JumpingClock, injector: str, metrics: str, leaving: contextlib.AsyncExitStack
) -> AsyncIterator[Scene]:
    async with stack(
        policy=POLICY,
        orgs=ORGS,
        clock=clock,
        replicas=2,
        trusted_proxies=LOCAL,
        head_timeout=1,
        max_inflight=_ROOM,
        log_level="error",
    ) as running:
        lost = App(
            running.place.settings(
                auth_url="http://127.0.0.1:9",
                redis="redis://127.0.0.1:9",
                trusted_proxies=LOCAL,
                log_level="error",
            ),
            running.place.environ,
            clock=clock,
        )
        await lost.start()
        try:
            running.sidecars = [*running.sidecars, lost]
            pods = [
                Pod(f"acme-notes-{index}", app.admin_url.removeprefix("http://"))
                for index, app in enumerate(running.sidecars)
            ]
            other = App(running.place.settings(log_level="error"), running.place.environ)
            await other.start()
            leaving.push_async_callback(other.stop, 1.0)
            pods.append(Pod("acme-mail-0", other.admin_url.removeprefix("http://"), "acme-mail"))
            pods.append(Pod("bb-injector-0", metrics, "bb-injector"))
            yield Scene(running, Crowd(running), clock, pods, injector, leaving)
        finally:
            await lost.stop(1.0)


async def _ask_nonsense(injector: str) -> None:
    """Ask the injector what no API server asks."""
    async with httpx.AsyncClient(verify=False) as client:  # noqa: S501 - any pod may ask like this
        await client.post(f"{injector}/mutate", content=b"no review")


@contextlib.contextmanager
def _calling(crowd: Crowd) -> Iterator[None]:
    """Let the crowd call until the end of the block."""
    crowd.let_in()
    tasks = [
        asyncio.ensure_future(crowd.keep_calling(every, path, org, **more))
        for every, path, org, more in HABITS
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
