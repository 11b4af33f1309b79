"""An ASGI scope as the engine sees it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sidecar.domain.model import Call, Headers, RequestIdOrigin
from sidecar.frontends.paths import paths_of, raw_path

_UPGRADE: Final = b"upgrade"


def calls_of(
    scope: Mapping[str, Any], headers: Headers, request_id: str, origin: RequestIdOrigin
) -> list[Call]:
    """Describe the call, once for each path by which a framework may route it.

    A websocket has no method: it is a GET that asks for an upgrade, which HTTP/2 does not spell.
    """
    method = "GET"
    if scope["type"] == "http":
        method = scope["method"]
    elif not any(name == _UPGRADE for name, _ in headers):
        headers = [*headers, (_UPGRADE, b"websocket")]
    query = scope.get("query_string", b"").decode("latin-1")
    return [
        Call(method, raw_path(path), query, headers, request_id, origin)
        for path in paths_of(scope["path"], scope.get("root_path") or "")
    ]
