from __future__ import annotations

import pytest

from sidecar.admin.callers import refusal_of

HERE = ("127.0.0.1", 5)
LOCAL = {"host": "127.0.0.1:9901"}


@pytest.mark.parametrize(
    "peer", [HERE, ("127.9.9.9", 5), ("::1", 5, 0, 0), ("::ffff:127.0.0.1", 5, 0, 0)]
)
def test_a_loopback_peer_may_change_state(peer: tuple[object, ...]) -> None:
    """IPv4, IPv6, and IPv4 seen through an IPv6 socket."""
    assert refusal_of(peer, LOCAL, "127.0.0.1") is None


@pytest.mark.parametrize(
    "peer",
    [
        ("10.0.0.1", 5), ("::ffff:10.0.0.1", 5, 0, 0), ("fe80::1%lo", 5, 0, 0), ("0.0.0.0", 5),
        ("localhost", 5), ("", 5), (), None, "", "127.0.0.1", b"127.0.0.1", (5, "127.0.0.1"),
    ],
)  # fmt: skip
def test_any_other_peer_may_not(peer: object) -> None:
    """Nor one that is not known: nothing defaults to allow."""
    assert "loopback" in (refusal_of(peer, LOCAL, "127.0.0.1") or "")


@pytest.mark.parametrize("name", ["origin", "forwarded", "x-forwarded-for", "x-real-ip", "via"])
def test_a_browser_or_proxy_on_this_machine_may_not(name: str) -> None:
    """A page could POST to the port, and a proxy lends its own address."""
    assert refusal_of(HERE, {**LOCAL, name: "x"}, "127.0.0.1") is not None


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.0.0.1:9901", "127.0.0.2:1", "localhost", "LocalHost:9901", "localhost.",
        "[::1]", "[::1]:9901", "[::ffff:127.0.0.1]:9", "10.1.2.3", "10.1.2.3:7",
    ],
)  # fmt: skip
def test_a_host_that_is_this_machine_is_admitted(host: str) -> None:
    """Loopback addresses, localhost, the admin address itself; any port, for a forwarded one."""
    assert refusal_of(HERE, {"host": host}, "10.1.2.3") is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:9901", "127.0.0.1.evil.example", "localhost.evil.example", "",
        "10.1.2.4", "[fe80::1]", "127.0.0.1@evil.example", "2130706433", "0x7f000001", "[::1",
    ],
)  # fmt: skip
def test_a_host_that_is_another_name_is_refused(host: str) -> None:
    """A page whose name was made to lead here sends that name (DNS rebinding)."""
    assert "Host" in (refusal_of(HERE, {"host": host}, "10.1.2.3") or "")


@pytest.mark.parametrize("own_host", ["127.0.0.1", ""])
def test_no_host_is_refused(own_host: str) -> None:
    """As HTTP/1.0 may do: nothing defaults to allow."""
    assert refusal_of(HERE, {}, own_host) is not None
