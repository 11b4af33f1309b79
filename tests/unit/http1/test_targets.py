"""What goes on of a request target, and when its host is that of Host."""

from __future__ import annotations

import pytest

from sidecar.http1.errors import ProtocolError
from sidecar.http1.targets import origin_form


@pytest.mark.parametrize(
    ("method", "target", "path"),
    [
        ("GET", b"http://a", b"/"),
        ("GET", b"http://a?b", b"/?b"),
        ("OPTIONS", b"http://a", b"*"),
        ("OPTIONS", b"*", b"*"),
        ("OPTIONS", b"http://a/", b"/"),
    ],
)
def test_the_path_goes_on(method: str, target: bytes, path: bytes) -> None:
    """Without one it is `/`, and for OPTIONS the server as a whole."""
    assert origin_form(method, target, b"a") == path


@pytest.mark.parametrize(
    ("target", "host"),
    [(b"http://a", b"a:80"), (b"https://a:443", b"A"), (b"http://[::1]:80", b"[::1]")],
)
def test_the_schemes_own_port_need_not_be_written(target: bytes, host: bytes) -> None:
    """RFC 9110, 4.2.3: both name one authority."""
    assert origin_form("GET", target, host) == b"/"


@pytest.mark.parametrize(
    ("target", "host"),
    [
        (b"http://a", b"b"),
        (b"http://a", b"a:443"),
        (b"https://a", b"a:80"),
        (b"http://a:8", b"a:80"),
        (b"http://[::1]", b"[::1]:81"),
        (b"http://[::1]", b"[::2]"),
    ],
)
def test_two_hosts_are_refused(target: bytes, host: bytes) -> None:
    """The product could take either for the host."""
    with pytest.raises(ProtocolError, match="two hosts"):
        origin_form("GET", target, host)


@pytest.mark.parametrize("target", [b"*", b"x", b"ftp://a/", b"http:/a", b"http://u@a/"])
def test_no_target_is_refused(target: bytes) -> None:
    """Neither a path nor a URL of HTTP."""
    with pytest.raises(ProtocolError):
        origin_form("GET", target, b"a")
