"""What of an ASGI scope the engine sees."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.domain.model import RequestIdOrigin
from sidecar.frontends.asgi_call import calls_of
from sidecar.frontends.fields import without_ours
from tests.fakes.doors import http_scope


def calls(scope: dict[str, Any]) -> list[Any]:
    """Describe the calls of a scope."""
    return calls_of(scope, without_ours(scope["headers"]), "id", RequestIdOrigin.GENERATED)


def test_a_call_is_the_scopes() -> None:
    """Method, path, query and headers."""
    scope = http_scope("/a b", query_string=b"q=%20", headers=[[b"Accept", b" x "], [b"X_U", b"9"]])
    (call,) = calls(scope)
    assert (call.method, call.path, call.query) == ("POST", "/a%20b", "q=%20")
    assert call.headers == [(b"accept", b"x"), (b"x-u", b"9")]


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


@pytest.mark.parametrize(
    ("scope", "paths"),
    [
        (http_scope("/chat/a/b", raw_path=b"/chat/a%2fb"), ["/chat/a/b", "/chat/a%2fb"]),
        (http_scope("/chat/a/b", raw_path=b"/chat/a%2Fb?q=%2F"), ["/chat/a/b", "/chat/a%2Fb"]),
        (http_scope("/a b", raw_path=b"/a%20b?q=%2F"), ["/a%20b"]),
        (http_scope("/a", raw_path=None), ["/a"]),
        (
            http_scope("/api/a/b", raw_path=b"/api/a%2Fb", root_path="/api"),
            ["/a/b", "/api/a/b", "/a%2Fb", "/api/a%2Fb"],
        ),
    ],
)
def test_an_encoded_slash_makes_another_call(scope: dict[str, Any], paths: list[str]) -> None:
    """Sanic and BlackSheep route by the raw path, in which it divides no segments."""
    assert [call.path for call in calls(scope)] == paths
