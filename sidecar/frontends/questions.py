"""What a forwarding program asks about: its call, out of the request that it sends us.

Sources: nginx ngx_http_auth_request_module, ingress-nginx (nginx.tmpl), Traefik ForwardAuth, Caddy
forward_auth, Envoy ext_authz over HTTP (`path_prefix`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sidecar.domain.model import Headers
from sidecar.http1.heads import RequestHead

PATH: Final = b"/forward-auth"
ENVOY_PREFIX: Final = b"/envoy/"

_NGINX: Final = b"for=nginx"
_INGRESS_NGINX: Final = b"for=ingress-nginx"
_ORIGINAL_URL: Final = b"x-original-url"
_URL: Final = re.compile(rb"https?://([^/]*)(/.*)")
_METHOD: Final = re.compile(rb"[A-Z][A-Z-]*")
_TARGET: Final = re.compile(rb"/[!\"$-~]*|\*")
"""As our own data plane takes them. Products read `post` as POST, which no route would match."""

_TWO_CALLS: Final = "X-Forwarded-* and X-Original-* name two calls: let your proxy set one of them."
_NAMES_CALL: Final = frozenset(
    {
        b"x-forwarded-method", b"x-forwarded-uri", b"x-forwarded-host",
        b"x-original-method", b"x-original-uri", b"x-original-host",
    }
)  # fmt: skip
_OF_THE_CHECK: Final = _NAMES_CALL | {
    b"content-length", b"transfer-encoding", b"connection", b"host", b"expect", b"te",
}  # fmt: skip
"""Fields of the request to us, which say nothing of the call."""


@dataclass(frozen=True, slots=True)
class CallQuestion:
    """The call that is asked about; `target` raw, with its query.

    `of_nginx`: who asks passes no status of a refusal but 401 and 403.
    """

    method: str
    target: str
    headers: Headers
    of_nginx: bool = False


def read_question(head: RequestHead, *, has_body: bool) -> CallQuestion | str:
    """Read a question; a text says why it is none. `has_body`: the call's body comes with it."""
    if head.target.startswith(ENVOY_PREFIX):
        fields = head.fields
        if not has_body:
            fields = [field for field in fields if field[0] != b"content-length"]
        target = head.target[len(ENVOY_PREFIX) - 1 :].decode("ascii")
        return CallQuestion(head.method, target, fields)
    path, _, query = head.target.partition(b"?")
    if path != PATH:
        return "Ask /forward-auth, or /envoy/ with the call's own path behind it."
    headers, named = _split(head.fields)
    if query == _INGRESS_NGINX:
        return _of_ingress_nginx(headers, named)
    nginx = query == _NGINX
    prefix = b"x-original-" if nginx else b"x-forwarded-"
    if not nginx and (b"x-original-method" in named or b"x-original-uri" in named):
        original = _call_of(named, b"x-original-")
        forwarded = b"x-forwarded-method" in named or b"x-forwarded-uri" in named
        if not forwarded and original is not None:
            prefix = b"x-original-"  # nginx, whose client did not forge the others
        elif original not in {None, _call_of(named, prefix)}:
            return _TWO_CALLS
    call = _call_of(named, prefix)
    if call is None:
        names = f"{prefix.decode()}method and {prefix.decode()}uri"
        return f"The fields {names} must each be there once: let your proxy set them."
    host = named.get(prefix + b"host")
    if host:
        headers.append((b"host", host))
    return question_about(*call, headers, of_nginx=nginx)


def _of_ingress_nginx(
    headers: list[tuple[bytes, bytes]], named: dict[bytes, bytes]
) -> CallQuestion | str:
    """Ask by what ingress-nginx sets itself, and by no field that it would pass on from a client.

    That is `X-Original-URL`, the scheme and the client's Host before the target, and the method.
    """
    urls = [value for name, value in headers if name == _ORIGINAL_URL]
    url = _URL.fullmatch(urls[0]) if len(urls) == 1 else None
    method = named.get(b"x-original-method")
    if url is None or not method:
        return "The fields X-Original-Method and X-Original-URL must each be there once."
    own = [field for field in headers if field[0] != _ORIGINAL_URL]
    return question_about(method, url[2], [*own, (b"host", url[1])], of_nginx=True)


def question_about(
    method: bytes, target: bytes, headers: Headers, *, of_nginx: bool = False
) -> CallQuestion | str:
    """Ask about a call that was named; a text says why it cannot be read."""
    if not _METHOD.fullmatch(method) or not _TARGET.fullmatch(target):
        return "The method or the target of the call cannot be read."
    return CallQuestion(method.decode("ascii"), target.decode("ascii"), headers, of_nginx)


def _split(fields: Headers) -> tuple[list[tuple[bytes, bytes]], dict[bytes, bytes]]:
    """Return the call's own fields, and those that name it; what comes twice is empty there."""
    own, named = [], {}
    for field in fields:
        name = field[0]
        if name not in _OF_THE_CHECK:
            own.append(field)
        elif name in _NAMES_CALL:
            named[name] = b"" if name in named else field[1]
    return own, named


def _call_of(named: dict[bytes, bytes], prefix: bytes) -> tuple[bytes, bytes] | None:
    """Return method and target, where each is there once."""
    method, uri = named.get(prefix + b"method"), named.get(prefix + b"uri")
    return (method, uri) if method and uri else None
