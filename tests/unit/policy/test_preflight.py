"""Which calls are a browser's preflight, and which only look like one."""

from __future__ import annotations

import pytest

from sidecar.domain.model import Headers
from sidecar.policy.preflight import preflight_method

ASKED = (b"access-control-request-method", b"POST")
ORIGIN = (b"origin", b"https://app.acme.com")
NAMES = (b"access-control-request-headers", b"authorization,content-type")
REAL: Headers = (
    (b"host", b"api.acme.com"),
    (b"connection", b"keep-alive"),
    (b"accept", b"*/*"),
    ASKED,
    NAMES,
    ORIGIN,
    (b"sec-fetch-mode", b"cors"),
)


def test_a_browsers_preflight_names_the_method_that_it_asks_for() -> None:
    """With or without names of fields, and also through a proxy that adds a length of 0."""
    assert preflight_method("OPTIONS", REAL, "") == "POST"
    assert preflight_method("OPTIONS", REAL, "page=2&q=a%20b") == "POST"
    assert preflight_method("OPTIONS", (ORIGIN, ASKED), "") == "POST"
    assert preflight_method("OPTIONS", (*REAL, (b"content-length", b"0")), "") == "POST"


@pytest.mark.parametrize(
    "headers",
    [
        (ORIGIN,),
        (ASKED,),
        ((b"origin", b""), ASKED),
        (ORIGIN, (ASKED[0], b"")),
        (ORIGIN, (ASKED[0], b"post")),
        (ORIGIN, (ASKED[0], b"POST, GET")),
        (ORIGIN, (ASKED[0], b"P\xd6ST")),
        (ORIGIN, (ASKED[0], b"CONNECT")),
        (ORIGIN, (ASKED[0], b"TRACE")),
        (*REAL, ORIGIN),
        (*REAL, ASKED),
        (*REAL, (ASKED[0], b"GET")),
        (*REAL, NAMES),
        (*REAL, (b"content-length", b"2")),
        (*REAL, (b"content-length", b"00")),
        (*REAL, (b"content-length", b"0"), (b"content-length", b"0")),
        (*REAL, (b"transfer-encoding", b"chunked")),
        (*REAL, (b"expect", b"100-continue")),
        (*REAL, (b"upgrade", b"websocket")),
        (ORIGIN, ASKED, (b"connection", b"Keep-Alive, Upgrade")),
        (*REAL, (b"x-http-method-override", b"POST")),
        (*REAL, (b"x-http-method-override", b"not a method")),
        (*REAL, (b"x-http-method-override", b"")),
        (*REAL, (b"x-method-override", b"OPTIONS")),
        (*REAL, (b"x.http~method", b"POST")),
    ],
)
def test_what_only_looks_like_one_is_any_other_call(headers: Headers) -> None:
    """A body, an upgrade, an override, a field missing or given twice: no browser sends that."""
    assert preflight_method("OPTIONS", headers, "") is None


@pytest.mark.parametrize("query", ["_method=POST", "a=1&_method=", "X-HTTP-Method-Override=x"])
def test_an_override_in_the_query_is_any_other_call(query: str) -> None:
    """The page's own query may be anything else."""
    assert preflight_method("OPTIONS", REAL, query) is None


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "options", "OPTION"])
def test_another_method_is_any_other_call(method: str) -> None:
    """Whatever fields it has."""
    assert preflight_method(method, REAL, "") is None
