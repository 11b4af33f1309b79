"""Heads written again: what goes to the upstream, what goes to the client. Pure.

Nothing of a head is passed on raw. Hop-by-hop fields and those named in Connection end here
(RFC 9110, 7.6.1); the fields that the sidecar sets are taken out of what comes in, in every
spelling that a product could read as the same field. A name with an underscore is always dropped:
behind CGI, WSGI or Rack it is another field with a hyphen, about which we decided otherwise.
"""

from __future__ import annotations

from collections.abc import Container
from functools import lru_cache
from operator import itemgetter
from typing import Final

from sidecar.domain.model import Identity
from sidecar.http1.heads import DECIDED_NAME, FOLDED, HeadFields, RequestHead
from sidecar.http1.lines import OF_ONE_MESSAGE, Field
from sidecar.http1.memory import Memory
from sidecar.http1.response_heads import ResponseHead

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
COMMON_OPTIONS: Final = frozenset({b"keep-alive", b"close", b"upgrade", b"te"})
"""What Connection may name without a field that counts being taken out."""
_WRITTEN_ANEW: Final = _OURS_UPSTREAM | {b"upgrade"}
"""What a product gets although Connection names it."""
_OURS_DOWNSTREAM: Final = frozenset({b"x-request-id", b"x-quota-decision"})
_QUOTA_FIELDS: Final = frozenset({b"ratelimit", b"ratelimit-policy"})
_FROM_TRUSTED: Final = frozenset({b"x-real-ip", b"x-forwarded-port", b"x-forwarded-prefix"})
_PLATFORM_SESSION: Final = b"bb_session"
_CALLERS: Final = 4096
_REMEMBERED: Final = 2 * 1024 * 1024  # bytes, each way

_OF_THE_HOP: Final = frozenset({b"close", b"keep-alive", b"te", b"upgrade", b""})
"""What Connection usually names: nothing that would be passed on otherwise."""

_name_of: Final = itemgetter(0)


def _to_upstream(field: Field) -> bytes:
    """Return a client's field as the upstream gets it, with its CRLF: empty where it ends here."""
    name, value = field
    line = b""
    if not _ends_here(name):
        if name == b"cookie" and _PLATFORM_SESSION in value:
            value = _without_platform_session(value)
        if value or field[1] == value:
            line = b"%b: %b\r\n" % (name, value)
    return line


def _ends_here(name: bytes) -> bool:
    plain = name.translate(FOLDED)
    return (
        b"_" in name
        or plain in _HOP_BY_HOP
        or plain in _OURS_UPSTREAM
        or plain.startswith(b"x-bb-")
    )


def _to_client(field: Field) -> bytes:
    """Return an upstream's field as the client gets it, with its CRLF: empty where it ends here."""
    ends = field[0] in _HOP_BY_HOP or field[0] in _OURS_DOWNSTREAM
    return b"" if ends else b"%b: %b\r\n" % field


def _beside_our_quota(field: Field) -> bytes:
    """Return the same, where the RateLimit fields are ours."""
    return b"" if field[0] in _QUOTA_FIELDS else _to_client(field)


def _size_of(field: Field, line: bytes) -> int:
    return 0 if field[0] in OF_ONE_MESSAGE else len(field[0]) + len(field[1]) + len(line)


_for_upstream: Final = Memory(_to_upstream, _size_of, _REMEMBERED)
_for_client: Final = Memory(_to_client, _size_of, _REMEMBERED)
_beside_quota: Final = Memory(_beside_our_quota, _size_of, _REMEMBERED)
"""Fields as they are passed on: the same ones come with every head (http1/lines.py)."""


def _but_for(fields: HeadFields, dropped: Container[bytes]) -> HeadFields:
    return [field for field in fields if field[0] not in dropped]


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

    `forwarded` are the X-Forwarded lines, of `own_lines` or `extended_lines`. `expect` passes on a
    client's `Expect: 100-continue`.
    """
    fields = head.fields
    if not head.connection <= _OF_THE_HOP:
        fields = _but_for(fields, head.connection)
    lines = [b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (head.method.encode("ascii"), head.target, host)]
    lines += map(_for_upstream.__getitem__, fields)
    if head.length < 0:
        lines.append(b"transfer-encoding: chunked\r\n")
    elif head.length or _has_length(head):
        lines.append(b"content-length: %d\r\n" % head.length)
    if expect:
        lines.append(b"expect: 100-continue\r\n")
    if head.upgrade is not None:
        lines.append(b"connection: upgrade\r\nupgrade: %b\r\n" % head.upgrade)
    whose = b""
    if identity is not None:
        whose = identity_lines(identity.org_id, identity.user_id, identity.plan, identity.role)
    lines.append(b"%bx-request-id: %b%b\r\n\r\n" % (forwarded, request_id, whose))
    return b"".join(lines)


def decided_on(head: RequestHead) -> HeadFields:
    """Return the fields that a call is decided by: those that Connection names do not count.

    Else a client could show one price or route to the sidecar and another to the product: behind
    lighttpd `x.units` is `x-units`.
    """
    gone = head.connection - _WRITTEN_ANEW
    fields = [field for field in head.fields if field[0] not in gone]
    if not head.odd_names:
        return fields
    return [(DECIDED_NAME[name], value) for name, value in fields if b"_" not in name]


def _has_length(head: RequestHead) -> bool:
    """Say whether a length of 0 was sent: a POST without a body must stay one."""
    return b"content-length" in map(_name_of, head.fields)


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


@lru_cache(maxsize=_CALLERS)
def identity_lines(*values: str) -> bytes:
    """Return the X-BB lines of a caller (org, user, plan, role), each after its CRLF."""
    names = (b"x-bb-org-id", b"x-bb-user-id", b"x-bb-plan", b"x-bb-role")
    return b"".join(
        b"\r\n%b: %b" % (name, value.encode("latin-1"))
        for name, value in zip(names, values, strict=True)
        if value
    )


_FORWARDED: Final = b"x-forwarded-for: %b\r\nx-forwarded-proto: %b\r\nx-forwarded-host: %b\r\n"


def _forwarded(peer_and_host: tuple[bytes, bytes]) -> bytes:
    peer, host = peer_and_host
    return _FORWARDED % (peer, b"http", host)


own_lines: Final = Memory(
    _forwarded, lambda key, lines: len(key[0]) + len(key[1]) + len(lines), _REMEMBERED
)
"""The X-Forwarded lines for a peer that is not trusted, in place of its own: by peer and host."""


def extended_lines(fields: HeadFields, peer: bytes, host: bytes) -> bytes:
    """Return the X-Forwarded lines of a trusted peer, extended by the peer itself."""
    came: dict[bytes, bytes] = {}
    kept = b""
    for name, value in fields:
        if name in _FROM_TRUSTED:
            kept += b"%b: %b\r\n" % (name, value)
        elif name == b"forwarded" or name.startswith(b"x-forwarded-"):
            came[name] = came[name] + b", " + value if name in came else value
    if b"forwarded" in came:  # RFC 7239, 4 and 6: an IPv6 address stands in brackets and quotes
        node = b'"[%b]"' % peer if b":" in peer else peer
        kept += b"forwarded: %b, for=%b\r\n" % (came[b"forwarded"], node)
    before = came.get(b"x-forwarded-for")
    return kept + _FORWARDED % (
        before + b", " + peer if before else peer,
        came.get(b"x-forwarded-proto", b"http"),
        came.get(b"x-forwarded-host", host),
    )


def response_head(head: ResponseHead, added: bytes, *, tells_quota: bool) -> bytes:
    """Write the head that the client gets; `added` are the sidecar's own lines, with their CRLFs.

    Framing and Connection are among them. `tells_quota`: RateLimit fields are as well, and the
    upstream's own are dropped.
    """
    fields = head.fields
    if not head.connection <= _OF_THE_HOP:  # framing is not the upstream's to take back
        fields = _but_for(fields, head.connection - {b"content-length"})
    if head.status < 200 or head.status == 204:
        fields = _but_for(fields, {b"content-length"})  # RFC 9110, 8.6
    memory = _beside_quota if tells_quota else _for_client
    start = b"HTTP/1.1 %d %b\r\n" % (head.status, head.reason)
    return b"".join((start, *map(memory.__getitem__, fields), added, b"\r\n"))
