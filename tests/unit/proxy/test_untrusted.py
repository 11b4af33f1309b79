"""The warning of a TLS proxy that is not trusted."""

from __future__ import annotations

import pytest

from sidecar.proxy.untrusted import REQUESTS_SEARCHED, UntrustedProxies

FIELDS = [(b"host", b"a"), (b"x-forwarded-proto", b"https")]


def test_it_is_one_line_that_names_the_peer_and_the_setting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its https becomes http, and a product that wants https redirects for ever."""
    proxies = UntrustedProxies()
    proxies.search(b"10.0.0.1", FIELDS)
    proxies.search(b"10.0.0.2", FIELDS)
    (record,) = caplog.records
    assert (record.message, record.__dict__["peer"]) == ("forwarded_proto_replaced", "10.0.0.1")
    assert "--trusted-proxies" in record.__dict__["hint"]


@pytest.mark.parametrize("proto", [b"http", b"ftp"])
def test_another_scheme_is_no_sign(proto: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """The product gets http anyway."""
    UntrustedProxies().search(b"10.0.0.1", [(b"x-forwarded-proto", proto)])
    assert caplog.records == []


def test_only_the_first_requests_are_searched(caplog: pytest.LogCaptureFixture) -> None:
    """A sidecar that clients reach directly does not pay for the search permanently."""
    proxies = UntrustedProxies()
    for _ in range(REQUESTS_SEARCHED):
        proxies.search(b"10.0.0.1", [(b"host", b"a")])
    proxies.search(b"10.0.0.1", FIELDS)
    assert caplog.records == []
