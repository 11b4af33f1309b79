"""Who asks, by gRPC's name of it."""

from __future__ import annotations

import pytest

from sidecar.frontends.envoy.peers import host_of


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("ipv4:10.0.0.7:41234", "10.0.0.7"),
        ("ipv6:%5B::1%5D:41234", "::1"),
        ("ipv6:[fe80::1%25eth0]:41234", "fe80::1"),
        ("unix:/run/authz.sock", ""),
        ("", ""),
    ],
)
def test_a_peer_is_its_address(peer: str, host: str) -> None:
    """Without its port; what is no address is trusted by no network."""
    assert host_of(peer) == host
