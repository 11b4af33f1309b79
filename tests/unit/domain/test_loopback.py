"""What is this machine."""

from __future__ import annotations

import pytest

from sidecar.domain.loopback import host_of, is_loopback


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:10.0.0.1", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("fe80::1%eth0", False),
        ("", False),
        ("localhost", False),
    ],
)
def test_a_loopback_address(address: str, *, local: bool) -> None:
    """By address alone, mapped addresses too."""
    assert is_loopback(address) is local


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("LocalHost:9901", "localhost"),
        ("localhost.", "localhost."),
        ("[::1]:1", "::1"),
        ("evil.test", "evil.test"),
    ],
)
def test_a_host_is_read_without_its_port(authority: str, host: str) -> None:
    """In lower case."""
    assert host_of(authority) == host


@pytest.mark.parametrize(
    "authority",
    [
        "",
        "[",
        "[::1",
        "user@localhost",
        "127.0.0.1/x",
        "a#localhost",
        "localhost?",
        ":80",
    ],
)
def test_what_is_no_host_and_port_has_no_host(authority: str) -> None:
    """What two readers could read in two ways is none."""
    assert host_of(authority) == ""
