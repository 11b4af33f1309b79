"""Name servers that hang, and proxies: the whole chain, with names that the test resolves."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.harness import CHAT, ORG, policy, stack
from tests.e2e.test_platform_absent import session
from tests.fakes.proxies import proxying
from tests.fakes.servers import never_accepting

PLATFORM, PRODUCT = "platform.test", "product.test"
METERED = 40


class NameServer:
    """Resolves both names to `hosts`; the platform's hangs until it is `released`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.released = threading.Event()
        self.hosts = ["127.0.0.1"]
        self.asked: list[str] = []
        self._threads: list[threading.Thread] = []
        self._system = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self.ask)

    def ask(self, host: str, *more: Any, **named: Any) -> list[Any]:
        """Answer as the system would."""
        if host not in {PLATFORM, PRODUCT}:
            return list(self._system(host, *more, **named))
        self.asked.append(host)
        if host == PLATFORM:
            self._threads.append(threading.current_thread())
            assert self.released.wait(60)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 0)) for each in self.hosts]

    def end(self) -> None:
        """Leave no lookup behind."""
        self.released.set()
        for thread in self._threads:
            thread.join(30)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    """A name server that hangs for the platform."""
    server = NameServer(monkeypatch)
    yield server
    server.end()


async def test_a_platform_whose_name_hangs_takes_nothing_down(names: NameServer) -> None:
    """Metered calls follow the policy, and the product is found by its name."""
    text = policy(defaults={"platform_timeout": "100ms"})
    async with stack(policy=text, orgs={ORG: 1000}) as real:
        _, _, platform_port = real.platform.url.rpartition(":")
        _, _, product_port = real.upstream.url.rpartition(":")
        async with stack(
            policy=text,
            platform_url=f"http://{PLATFORM}:{platform_port}",
            upstream_url=f"http://{PRODUCT}:{product_port}",
        ) as s:
            cookie = session(s)
            metered = [s.client.post(CHAT, json={}, headers=cookie) for _ in range(METERED)]
            unmetered = [s.client.get("/api/echo") for _ in range(METERED)]
            answers = await asyncio.gather(*metered, *unmetered)
            assert {answer.status_code for answer in answers} == {200}
            decisions = [answer.headers.get("x-quota-decision") for answer in answers]
            assert decisions == ["fail_open"] * METERED + [None] * METERED
            # One for the consume pool, one for the key set; one for the product.
            assert sorted(names.asked) == [PLATFORM, PLATFORM, PRODUCT]
            names.released.set()
            await s.reported()
            assert real.charges() == METERED


async def test_a_dead_address_costs_no_decision(names: NameServer) -> None:
    """Of the platform's and of the product's two addresses the first takes no connection."""
    names.released.set()
    names.hosts = ["127.0.0.2", "127.0.0.1"]
    async with stack() as real:
        ports = [int(url.rpartition(":")[2]) for url in (real.platform.url, real.upstream.url)]
        with never_accepting("127.0.0.2", ports[0]), never_accepting("127.0.0.2", ports[1]):
            async with stack(
                platform_url=f"http://{PLATFORM}:{ports[0]}",
                upstream_url=f"http://{PRODUCT}:{ports[1]}",
            ) as s:
                answer = await s.client.post(CHAT, json={}, headers=session(s))
                assert answer.status_code == 200
                assert "x-quota-decision" not in answer.headers
                assert real.charges() == 1


async def test_the_platform_is_reached_through_the_proxy_and_the_product_is_not(
    monkeypatch: pytest.MonkeyPatch, names: NameServer
) -> None:
    """The consume goes out by CONNECT; the product's way is direct."""
    names.released.set()
    async with stack() as real, proxying() as proxy:
        _, _, platform_port = real.platform.url.rpartition(":")
        _, _, product_port = real.upstream.url.rpartition(":")
        proxy.to = int(platform_port)
        monkeypatch.setenv("no_proxy", "127.0.0.1")  # the test's own client reads it too
        monkeypatch.setenv("http_proxy", f"http://user:secret@127.0.0.1:{proxy.port}")
        async with stack(
            platform_url=f"http://{PLATFORM}:{platform_port}",
            upstream_url=f"http://{PRODUCT}:{product_port}",
            auth_url=real.platform.url,
            issuer=real.platform.url,
        ) as s:
            answer = await s.client.post(
                CHAT, json={}, headers={"cookie": f"bb_at={real.token(ORG)}"}
            )
            assert answer.status_code == 200
            assert real.charges() == 1
        assert [head.split("\r\n")[0] for head in proxy.heads] == [
            f"CONNECT {PLATFORM}:{platform_port} HTTP/1.1"
        ]
        assert PLATFORM not in names.asked
