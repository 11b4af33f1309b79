"""What a forwarding program asks about: its call, out of the request that it sends us.

Sources: nginx ngx_http_auth_request_module, Traefik ForwardAuth, Caddy forward_auth, Envoy
ext_authz over HTTP (`path_prefix`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sidecar.domain.model import Headers
from sidecar.http1.heads import RequestHead

PATH: Final = b"/forward-auth"
ENVOY_PREFIX: Final = b"/envoy/"

_NGINX: Final = b"for=nginx"
_METHOD: Final = re.compile(rb"[A-Z][A-Z-]*")
_TARGET: Final = re.compile(rb"/[!\"$-~]*|\*")
"""As our own data plane takes them. Products read `post` as POST, which no route would match."""

_TWO_CALLS: Final = "X-Forwarded-* and X-Original-* name two calls: let your proxy set one of them."
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
    if asker is Asker.FORWARDED:
        original = _call_of(head.fields, b"x-original-")
        if not _any_of(head.fields, prefix) and original is not None:
            prefix = b"x-original-"  # nginx, whose client did not forge the others
        elif original not in {None, _call_of(head.fields, prefix)}:
            return _TWO_CALLS
    call = _call_of(head.fields, prefix)
    if call is None:
        names = f"{prefix.decode()}method and {prefix.decode()}uri"
        return f"The fields {names} must each be there once: let your proxy set them."
    headers = _but(head.fields, _OF_THE_CHECK)
    host = _once(head.fields, prefix + b"host")
    if host is not None:
        headers = [*headers, (b"host", host)]
    return question_about(asker, *call, headers)


def question_about(
    asker: Asker, method: bytes, target: bytes, headers: Headers
) -> CallQuestion | str:
    """Ask about a call that was named; a text says why it cannot be read."""
    if not _METHOD.fullmatch(method) or not _TARGET.fullmatch(target):
        return "The method or the target of the call cannot be read."
    return CallQuestion(asker, method.decode("ascii"), target.decode("ascii"), headers)


def _call_of(fields: Headers, prefix: bytes) -> tuple[bytes, bytes] | None:
    """Return method and target, where each is there once."""
    method, uri = _once(fields, prefix + b"method"), _once(fields, prefix + b"uri")
    return None if method is None or uri is None else (method, uri)


def _any_of(fields: Headers, prefix: bytes) -> bool:
    return any(name in {prefix + b"method", prefix + b"uri"} for name, _ in fields)


def _once(fields: Headers, wanted: bytes) -> bytes | None:
    found = [value for name, value in fields if name == wanted]
    return found[0] if len(found) == 1 and found[0] else None


def _but(fields: Headers, dropped: frozenset[bytes]) -> list[tuple[bytes, bytes]]:
    return [field for field in fields if field[0] not in dropped]
