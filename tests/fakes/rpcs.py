"""RPCs of Envoy as the handlers of `sidecar.frontends.envoy` see them."""

from __future__ import annotations

from typing import Any

from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse


class Rpc:
    """The context of one RPC."""

    def __init__(self, peer: str = "ipv4:127.0.0.1:4000") -> None:
        self._peer = peer
        self.gone = False

    def peer(self) -> str:
        return self._peer

    def cancelled(self) -> bool:
        return self.gone


def check_request(
    path: str = "/chat", method: str = "POST", content: bytes = b"", **fields: str
) -> CheckRequest:
    """Ask about a call; `id` is Envoy's, and the other fields are the call's (`_` for `-`)."""
    request = CheckRequest()
    http = request.attributes.request.http
    http.id = fields.pop("id", "")
    http.method, http.path, http.host, http.raw_body = method, path, "acme", content
    for name, value in {":path": path, **fields}.items():
        header = http.header_map.headers.add()
        header.key, header.raw_value = name.replace("_", "-"), value.encode()
    return request


def answered(written: bytes) -> CheckResponse:
    """Read an answer."""
    return CheckResponse.FromString(written)


def fields_of(options: Any) -> dict[str, str]:
    """Return the fields that an answer sets."""
    return {
        each.header.key: each.header.value or each.header.raw_value.decode() for each in options
    }
