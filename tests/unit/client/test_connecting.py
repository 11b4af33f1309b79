"""What aiohttp is given: names looked up apart from the loop, and the proxy of the environment."""

from __future__ import annotations

import asyncio
import socket

import pytest

from sidecar.client.connecting import OutboundResolver, proxy_arguments
from tests.fakes.names import FixedLookup, HeldLookup

PLATFORM = "https://api.bizbasics.ai"


async def test_names_are_looked_up_once_for_all() -> None:
    """A caller is given every address with the port that it asked for."""
    lookup = HeldLookup()
    names = OutboundResolver(lookup)
    waiting = [asyncio.ensure_future(names.resolve("auth.test", 443)) for _ in range(20)]
    await lookup.begun(1)
    lookup.answer("192.0.2.1", "2001:db8::1")
    for found in await asyncio.gather(*waiting):
        assert [(each["host"], each["port"]) for each in found] == [
            ("192.0.2.1", 443),
            ("2001:db8::1", 443),
        ]
    assert len(lookup.asked) == 1


async def test_a_family_can_be_asked_for() -> None:
    """Only its addresses are returned."""
    names = OutboundResolver(FixedLookup("192.0.2.1", "2001:db8::1"))
    found = await names.resolve("auth.test", 443, socket.AF_INET)
    assert [each["host"] for each in found] == ["192.0.2.1"]


async def test_closing_ends_the_lookups() -> None:
    """Who waits for one gets an error."""
    lookup = HeldLookup()
    names = OutboundResolver(lookup)
    waiting = asyncio.ensure_future(names.resolve("auth.test"))
    await lookup.begun(1)
    await names.close()
    with pytest.raises(OSError, match=r"."):
        await waiting


def test_aiohttp_is_given_the_credentials_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL ends up in error messages; a header does not."""
    for name in ("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", "http://proxy.test:3128")
    assert proxy_arguments("http://127.0.0.1:1") == {}
    assert proxy_arguments(PLATFORM) == {"proxy": "http://proxy.test:3128"}
    monkeypatch.setenv("https_proxy", "http://user:secret@proxy.test:3128")
    assert proxy_arguments(PLATFORM) == {
        "proxy": "http://proxy.test:3128",
        "proxy_headers": {"Proxy-Authorization": "Basic dXNlcjpzZWNyZXQ="},
    }
