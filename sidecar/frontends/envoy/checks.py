"""The question of Envoy's ext_authz over gRPC: which call it is about, and what came of its body.

Source: envoy/service/auth/v3/attribute_context.proto.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from envoy.service.auth.v3.external_auth_pb2 import CheckRequest

from sidecar.frontends.bodies import announced_length
from sidecar.frontends.envoy.head_fields import TOO_LARGE, is_too_large, pairs_of, split
from sidecar.frontends.fields import field_of
from sidecar.frontends.questions import CallQuestion, question_about

CheckName = bytes
"""A digest of where the question came from, Envoy's ID of the request, its head and its caller.

The ID alone is Envoy's word: with another token it is the call of another.
"""

_DIGEST_BYTES: Final = 16
_CALLER: Final = frozenset({b"authorization", b"cookie"})
_PARTIAL: Final = b"x-envoy-auth-partial-body"


@dataclass(frozen=True, slots=True)
class CallCheck:
    """A question. `name` is the same where Envoy asks about one request again.

    None without an ID, and where the ID is also a field of the call: other proxies that ask so take
    its X-Request-ID, which a client may choose, and send again for another call.
    """

    call: CallQuestion
    name: CheckName | None
    content: bytes
    partial: bool
    """Whether the call has more of a body than came."""


def read_check(request: CheckRequest, envoy: str) -> CallCheck | str:
    """Read a question that came from `envoy`; a text says why it is none."""
    http = request.attributes.request.http
    if is_too_large(http.header_map, http.headers):
        return TOO_LARGE
    pairs = pairs_of(http.header_map)
    pairs += [(name.lower().encode(), value.encode()) for name, value in http.headers.items()]
    _, fields = split(pairs)
    if http.host and field_of(fields, b"host") is None:
        fields.append((b"host", http.host.encode()))
    call = question_about(http.method.encode(), http.path.encode(), fields)
    if isinstance(call, str):
        return call
    content = http.raw_body or http.body.encode()
    announced = announced_length(field_of(fields, b"content-length")) or 0
    partial = field_of(fields, _PARTIAL) == b"true" or announced > len(content)
    name = None
    if http.id and all(value != http.id.encode() for _, value in fields):
        named = (envoy, http.id, http.method, http.path, http.host)
        caller = (part for field in fields if field[0] in _CALLER for part in field)
        name = _digest((*(part.encode() for part in named), *caller))
    return CallCheck(call, name, content, partial)


def _digest(parts: Iterable[bytes]) -> bytes:
    joined = b"".join(b"%d:%b" % (len(part), part) for part in parts)
    return blake2b(joined, digest_size=_DIGEST_BYTES).digest()
