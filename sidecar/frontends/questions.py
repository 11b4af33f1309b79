"""What a forwarding program asks about: its call, out of the request that it sends us.

Sources: nginx ngx_http_auth_request_module, Traefik ForwardAuth, Caddy forward_auth, Envoy
ext_authz over HTTP (`path_prefix`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sidecar.domain.model import Headers
from sidecar.http1.heads import RequestHead

PATH: Final = b"/forward-auth"
ENVOY_PREFIX: Final = b"/envoy/"

_NGINX: Final = b"for=nginx"
_OF_THE_CHECK: Final = frozenset(
    {
        b"content-length", b"transfer-encoding", b"connection", b"host", b"expect", b"te",
        b"x-forwarded-method", b"x-forwarded-uri", b"x-forwarded-host",
        b"x-original-method", b"x-original-uri", b"x-original-host",
    }
)  # fmt: skip
"""Fields of the request to us, which say nothing of the call."""


class Asker(StrEnum):
    """Who asks, as far as the question and the answer differ."""

    FORWARDED = "forwarded"  # Traefik, Caddy
    NGINX = "nginx"
    ENVOY = "envoy"


@dataclass(frozen=True, slots=True)
class CallQuestion:
    """The call that is asked about; `target` raw, with its query."""

    asker: Asker
    method: str
    target: str
    headers: Headers


def read_question(head: RequestHead, *, has_body: bool) -> CallQuestion | str:
    """Read a question; a text says why it is none. `has_body`: the call's body comes with it."""
    path, _, query = head.target.partition(b"?")
    if head.target.startswith(ENVOY_PREFIX):
        fields = head.fields if has_body else _but(head.fields, frozenset({b"content-length"}))
        target = head.target[len(ENVOY_PREFIX) - 1 :].decode("ascii")
        return CallQuestion(Asker.ENVOY, head.method, target, fields)
    if path != PATH:
        return "Ask /forward-auth, or /envoy/ with the call's own path behind it."
    asker = Asker.NGINX if query == _NGINX else Asker.FORWARDED
    prefix = b"x-original-" if asker is Asker.NGINX else b"x-forwarded-"
    method, uri = _once(head.fields, prefix + b"method"), _once(head.fields, prefix + b"uri")
    if method is None or uri is None:
        names = f"{prefix.decode()}method and {prefix.decode()}uri"
        return f"The fields {names} must each be there once: let your proxy set them."
    headers = _but(head.fields, _OF_THE_CHECK)
    host = _once(head.fields, prefix + b"host")
    if host is not None:
        headers = [*headers, (b"host", host)]
    return CallQuestion(asker, method.decode("latin-1"), uri.decode("latin-1"), headers)


def _once(fields: Headers, wanted: bytes) -> bytes | None:
    found = [value for name, value in fields if name == wanted]
    return found[0] if len(found) == 1 and found[0] else None


def _but(fields: Headers, dropped: frozenset[bytes]) -> list[tuple[bytes, bytes]]:
    return [field for field in fields if field[0] not in dropped]
