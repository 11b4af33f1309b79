"""An ASGI scope as the engine sees it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sidecar.domain.model import Call, Headers, RequestIdOrigin
from sidecar.frontends.fields import decided_on
from sidecar.frontends.paths import paths_of, raw_path

_UPGRADE: Final = b"upgrade"
_ENCODED_SLASH: Final = "%2F"


def calls_of(
    scope: Mapping[str, Any], headers: Headers, request_id: str, origin: RequestIdOrigin
) -> list[Call]:
    """Describe the call, once for each path by which a framework may route it.

    Sanic and BlackSheep route by `raw_path`, where an encoded slash divides no segments: the one
    thing that the decoded path does not show. A websocket has no method: it is a GET that asks for
    an upgrade, which HTTP/2 does not spell.
    """
    method, headers = "GET", decided_on(headers)
    if scope["type"] == "http":
        method = scope["method"]
    elif not any(name == _UPGRADE for name, _ in headers):
        headers = [*headers, (_UPGRADE, b"websocket")]
    query = scope.get("query_string", b"").decode("latin-1")
    root_path = scope.get("root_path") or ""
    paths = [raw_path(path) for path in paths_of(scope["path"], root_path)]
    raw = (scope.get("raw_path") or b"").partition(b"?")[0].decode("latin-1")
    if _ENCODED_SLASH in raw.upper():
        paths += paths_of(raw, root_path)
    return [Call(method, path, query, headers, request_id, origin) for path in paths]
