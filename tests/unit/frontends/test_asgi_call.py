"""What of an ASGI scope the engine sees."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.domain.model import RequestIdOrigin
from sidecar.frontends.asgi_call import calls_of, clean_headers, field_of
from tests.fakes.doors import http_scope


def calls(scope: dict[str, Any]) -> list[Any]:
    """Describe the calls of a scope."""
    return calls_of(scope, clean_headers(scope), "id", RequestIdOrigin.GENERATED)


def test_a_call_is_the_scopes() -> None:
    """Method, path, query and headers."""
    scope = http_scope("/a b", query_string=b"q=%20", headers=[[b"Accept", b" x "]])
    (call,) = calls(scope)
    assert (call.method, call.path, call.query) == ("POST", "/a%20b", "q=%20")
    assert call.headers == [(b"accept", b"x")]


@pytest.mark.parametrize("headers", [[], [(b"upgrade", b"websocket")]])
def test_a_websocket_asks_for_an_upgrade(headers: list[tuple[bytes, bytes]]) -> None:
    """HTTP/2 does not spell it, and a policy may match it."""
    scope = http_scope(type="websocket", headers=headers)
    del scope["method"]
    (call,) = calls(scope)
    assert (call.method, call.headers) == ("GET", [(b"upgrade", b"websocket")])


def test_a_prefix_makes_two_calls() -> None:
    """A framework may route by either path."""
    scope = http_scope("/api/chat", root_path="/api")
    assert [call.path for call in calls(scope)] == ["/chat", "/api/chat"]


def test_a_field_that_comes_twice_has_no_value() -> None:
    """Which one counts is not known."""
    assert field_of([(b"a", b"1"), (b"b", b"2")], b"a") == b"1"
    assert field_of([(b"a", b"1"), (b"a", b"2")], b"a") is None
