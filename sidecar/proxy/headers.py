"""Heads written anew: what goes to the upstream, what goes to the client. Pure.

Nothing of a head is passed on raw. Hop-by-hop fields and those named in Connection end here
(RFC 9110, 7.6.1); the fields that the sidecar sets are taken out of what comes in, in every
spelling that a product could read as the same field.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sidecar.http1.heads import Fields, RequestHead, ResponseHead
from sidecar.model import Identity

_HOP_BY_HOP: Final = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate",
        b"proxy-authorization", b"te", b"trailer", b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip
_OURS_UPSTREAM: Final = frozenset(
    {
        b"host", b"content-length", b"expect", b"x-request-id", b"forwarded", b"x-real-ip",
        b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port",
        b"x-forwarded-prefix", b"x-forwarded-server", b"x-forwarded-scheme", b"x-forwarded-ssl",
        b"x-original-forwarded-for", b"x-original-url", b"x-rewrite-url",
    }
)  # fmt: skip
_OURS_DOWNSTREAM: Final = frozenset({b"x-request-id", b"x-quota-decision"})
_QUOTA_FIELDS: Final = frozenset({b"ratelimit", b"ratelimit-policy"})
_FROM_TRUSTED: Final = frozenset({b"x-real-ip", b"x-forwarded-port", b"x-forwarded-prefix"})
_PLATFORM_SESSION: Final = b"bb_session"
_CACHE_SIZE: Final = 4096

_ends_here: dict[bytes, bool] = {}
_identity_lines: dict[tuple[str, str, str, str], bytes] = {}


def _is_ours(name: bytes) -> bool:
    """Say whether a client's field is dropped; remembered per name, in bounded memory."""
    plain = name.replace(b"_", b"-")
    ours = plain in _HOP_BY_HOP or plain in _OURS_UPSTREAM or plain.startswith(b"x-bb-")
    if len(_ends_here) < _CACHE_SIZE and len(name) <= 64:
        _ends_here[name] = ours
    return ours


def request_head(
    head: RequestHead,
    *,
    host: bytes,
    forwarded: bytes,
    identity: Identity | None,
    request_id: bytes,
    expect: bool,
) -> bytes:
    """Write the head that the upstream gets, with the empty line.

    `forwarded` are the whole X-Forwarded lines, from `forwarded_lines`. `expect` passes a client's
    `Expect: 100-continue` on.
    """
    known = _ends_here
    lines = [
        b"%b %b HTTP/1.1\r\nhost: %b" % (head.method.encode("ascii"), head.target, host),
    ]
    named = head.connection
    for field in head.fields:
        name = field[0]
        ours = known.get(name)
        if (_is_ours(name) if ours is None else ours) or name in named:
            continue
        if name == b"cookie" and _PLATFORM_SESSION in field[1]:
            field = (name, _without_platform_session(field[1]))  # noqa: PLW2901 - the one edit
            if not field[1]:
                continue
        lines.append(b": ".join(field))
    if head.length < 0:
        lines.append(b"transfer-encoding: chunked")
    elif head.length or _has_length(head):
        lines.append(b"content-length: %d" % head.length)
    if expect:
        lines.append(b"expect: 100-continue")
    if head.upgrade is not None:
        lines.append(b"connection: upgrade\r\nupgrade: " + head.upgrade)
    tail = forwarded + b"x-request-id: " + request_id
    if identity is not None:
        tail += identity_lines(identity)
    lines.append(tail + b"\r\n\r\n")
    return b"\r\n".join(lines)


def _has_length(head: RequestHead) -> bool:
    """Say whether a length of 0 was sent: a POST without a body must stay one."""
    return any(name == b"content-length" for name, _ in head.fields)


def _without_platform_session(value: bytes) -> bytes:
    """Take the platform's own session cookie out of a Cookie field (contract, bb_at).

    The other cookies stay byte for byte, with what stands between them.
    """
    kept = [
        part
        for part in value.split(b";")
        if part.partition(b"=")[0].strip(b" \t") != _PLATFORM_SESSION
    ]
    return b";".join(kept).strip(b" \t")


def identity_lines(identity: Identity) -> bytes:
    """Return the X-BB lines of a verified caller, each after its CRLF."""
    key = (identity.org_id, identity.user_id, identity.plan, identity.role)
    lines = _identity_lines.get(key)
    if lines is None:
        names = (b"x-bb-org-id", b"x-bb-user-id", b"x-bb-plan", b"x-bb-role")
        lines = b"".join(
            b"\r\n%b: %b" % (name, value.encode("latin-1"))
            for name, value in zip(names, key, strict=True)
            if value
        )
        if len(_identity_lines) < _CACHE_SIZE:
            _identity_lines[key] = lines
    return lines


def forwarded_lines(fields: Fields, peer: bytes, host: bytes, *, trusted: bool) -> bytes:
    """Return the X-Forwarded lines: the peer's own replaced, or extended where it is trusted."""
    came: dict[bytes, bytes] = {}
    kept = b""
    if trusted:
        for name, value in fields:
            if name in _FROM_TRUSTED:
                kept += b"%b: %b\r\n" % (name, value)
            elif name == b"forwarded" or name.startswith(b"x-forwarded-"):
                came[name] = came[name] + b", " + value if name in came else value
    if b"forwarded" in came:  # RFC 7239, 4 and 6: an IPv6 address stands in brackets and quotes
        node = b'"[%b]"' % peer if b":" in peer else peer
        kept += b"forwarded: %b, for=%b\r\n" % (came[b"forwarded"], node)
    before = came.get(b"x-forwarded-for")
    return b"%bx-forwarded-for: %b\r\nx-forwarded-proto: %b\r\nx-forwarded-host: %b\r\n" % (
        kept,
        before + b", " + peer if before else peer,
        came.get(b"x-forwarded-proto", b"http"),
        came.get(b"x-forwarded-host", host),
    )


def response_head(
    head: ResponseHead, added: Iterable[tuple[bytes, bytes]], *, chunked: bool, connection: bytes
) -> bytes:
    """Write the head that the client gets; `added` are the sidecar's own fields.

    `connection` is the whole field line with its CRLF, or empty.
    """
    quota_told = False
    tail = []
    for field in added:
        quota_told = quota_told or field[0].lower() in _QUOTA_FIELDS
        tail.append(b"%b: %b\r\n" % field)
    named = head.connection
    bodiless = head.status < 200 or head.status == 204
    lines = [b"HTTP/1.1 %d %b" % (head.status, head.reason)]
    for field in head.fields:
        name = field[0]
        if name == b"content-length":  # framing is not the upstream's to take back
            if bodiless:
                continue  # RFC 9110, 8.6
        elif name in _HOP_BY_HOP or name in _OURS_DOWNSTREAM or name in named:
            continue
        if quota_told and name in _QUOTA_FIELDS:
            continue
        lines.append(b": ".join(field))
    lines.append(b"")
    if chunked:
        tail.append(b"transfer-encoding: chunked\r\n")
    return b"\r\n".join(lines) + b"".join(tail) + connection + b"\r\n"
