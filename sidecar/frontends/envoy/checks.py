"""The question of Envoy's ext_authz over gRPC: which call it is about, and what came of its body.

Source: envoy/service/auth/v3/attribute_context.proto.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from envoy.service.auth.v3.external_auth_pb2 import CheckRequest

from sidecar.frontends.bodies import announced_length
from sidecar.frontends.envoy.head_fields import pairs_of, split
from sidecar.frontends.fields import field_of
from sidecar.frontends.questions import Asker, CallQuestion, question_about

CheckName = tuple[str, str, str, str]
"""Where the question came from, Envoy's ID of the request, its method and its target."""

_PARTIAL: Final = b"x-envoy-auth-partial-body"


@dataclass(frozen=True, slots=True)
class CallCheck:
    """A question. `name` is the same where Envoy asks about one request again; None without ID."""

    call: CallQuestion
    name: CheckName | None
    content: bytes
    partial: bool
    """Whether the call has more of a body than came."""


def read_check(request: CheckRequest, envoy: str) -> CallCheck | str:
    """Read a question that came from `envoy`; a text says why it is none."""
    http = request.attributes.request.http
    pairs = pairs_of(http.header_map)
    pairs += [(name.lower().encode(), value.encode()) for name, value in http.headers.items()]
    _, fields = split(pairs)
    if http.host and field_of(fields, b"host") is None:
        fields.append((b"host", http.host.encode()))
    call = question_about(Asker.ENVOY, http.method.encode(), http.path.encode(), fields)
    if isinstance(call, str):
        return call
    content = http.raw_body or http.body.encode()
    announced = announced_length(field_of(fields, b"content-length")) or 0
    partial = field_of(fields, _PARTIAL) == b"true" or announced > len(content)
    name = (envoy, http.id, http.method, http.path) if http.id else None
    return CallCheck(call, name, content, partial)
