"""The proxy that the environment names."""

from __future__ import annotations

import pytest

from sidecar.http1.proxies import (
    UnusableProxyError,
    is_loopback,
    proxy_for,
    usable_proxy_for,
)
from sidecar.http1.tunnel import Proxy

PLATFORM = "https://api.bizbasics.ai"


@pytest.fixture(autouse=True)
def _no_proxy_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with an environment that names no proxy."""
    for name in ("HTTP", "HTTPS", "ALL", "NO"):
        for spelling in (f"{name}_PROXY", f"{name}_PROXY".lower()):
            monkeypatch.delenv(spelling, raising=False)


@pytest.mark.parametrize(
    ("environ", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://proxy.test:3128"}, Proxy("proxy.test", 3128)),
        ({"https_proxy": "http://proxy.test:3128/"}, Proxy("proxy.test", 3128)),
        ({"HTTPS_PROXY": "proxy.test:3128"}, Proxy("proxy.test", 3128)),
        ({"HTTPS_PROXY": "http://proxy.test"}, Proxy("proxy.test", 80)),
        ({"ALL_PROXY": "http://proxy.test:1"}, Proxy("proxy.test", 1)),
        ({"HTTPS_PROXY": "http://[2001:db8::1]:1"}, Proxy("2001:db8::1", 1)),
        (
            {"HTTPS_PROXY": "http://us%40er:p%3Ass@proxy.test:1"},
            Proxy("proxy.test", 1, "Basic dXNAZXI6cDpzcw=="),
        ),
        ({"HTTP_PROXY": "http://proxy.test:1"}, None),
        ({"HTTPS_PROXY": "http://proxy.test:1", "NO_PROXY": "api.bizbasics.ai"}, None),
        ({"HTTPS_PROXY": "http://proxy.test:1", "NO_PROXY": "a.test,.bizbasics.ai"}, None),
        ({"HTTPS_PROXY": "http://proxy.test:1", "NO_PROXY": "api.bizbasics.ai:443"}, None),
        ({"HTTPS_PROXY": "http://proxy.test:1", "NO_PROXY": "*"}, None),
        ({"HTTPS_PROXY": ""}, None),
    ],
)
def test_the_environment_names_the_proxy(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], proxy: Proxy | None
) -> None:
    """As other programs read it."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(PLATFORM) == proxy


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "127.9.9.9", "a.localhost"])
def test_this_machine_is_never_called_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """A local platform works on a machine that has a proxy."""
    monkeypatch.setenv("ALL_PROXY", "http://proxy.test:3128")
    assert proxy_for(f"http://{host}:8092") is None
    assert is_loopback(host.strip("[]"))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("socks5://proxy.test:1080", "socks5 proxies are not supported"),
        ("https://user:secret@proxy.test", "https proxies are not supported"),
        ("http://user:secret@:1", "names no host"),
        ("http://user:secret@proxy.test:port", "is no URL"),
        ("http://user:secret@pr\u00f6xy.test", "is no URL"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_said(
    monkeypatch: pytest.MonkeyPatch, value: str, words: str
) -> None:
    """With its variable and the fix, and without a credential; the way is then direct."""
    monkeypatch.setenv("HTTPS_PROXY", value)
    with pytest.raises(UnusableProxyError, match=words) as caught:
        proxy_for(PLATFORM)
    assert str(caught.value).startswith("HTTPS_PROXY is set and not used: ")
    assert "secret" not in str(caught.value)
    assert usable_proxy_for(PLATFORM) is None
