from __future__ import annotations

import pytest
from multidict import CIMultiDict

from sidecar.admin.callers import refusal_of


@pytest.mark.parametrize(
    "peer", [("127.0.0.1", 5), ("127.9.9.9", 5), ("::1", 5, 0, 0), ("::ffff:127.0.0.1", 5, 0, 0)]
)
def test_a_loopback_peer_may_change_state(peer: tuple[object, ...]) -> None:
    """IPv4, IPv6, and IPv4 seen through an IPv6 socket."""
    assert refusal_of(peer, CIMultiDict()) is None


@pytest.mark.parametrize(
    "peer",
    [
        ("10.0.0.1", 5), ("::ffff:10.0.0.1", 5, 0, 0), ("fe80::1%lo", 5, 0, 0), ("0.0.0.0", 5),
        ("localhost", 5), ("", 5), (), None, "", "127.0.0.1", b"127.0.0.1", (5, "127.0.0.1"),
    ],
)  # fmt: skip
def test_any_other_peer_may_not(peer: object) -> None:
    """Nor one that is not known: nothing defaults to allow."""
    assert "loopback" in (refusal_of(peer, CIMultiDict()) or "")


@pytest.mark.parametrize("name", ["origin", "forwarded", "x-forwarded-for", "X-REAL-IP", "via"])
def test_a_browser_or_proxy_on_this_machine_may_not(name: str) -> None:
    """A page could POST to the port, and a proxy lends its own address."""
    assert refusal_of(("127.0.0.1", 5), CIMultiDict({name: "x"})) is not None
