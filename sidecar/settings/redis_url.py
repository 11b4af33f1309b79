"""The URL of a Redis: what it may hold, and what it means.

    redis://[[user]:password@]host[:port][/database][?parameter=value&...]
    rediss://...                 the same over TLS
    unix:///path/to/socket[?db=0&password=...]

A URL may hold a password, so no error repeats a part of it that could belong to one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

_DEFAULT_PORT: Final = 6379
_SCHEMES: Final = frozenset({"redis", "rediss", "unix"})
_OWN: Final = ("db", "username", "password", "client_name")
_TLS: Final = (
    "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname",
)  # fmt: skip
_WITHOUT_EFFECT: Final = frozenset({
    "decode_responses", "encoding", "encoding_errors", "health_check_interval", "max_connections",
    "protocol", "retry_on_timeout", "socket_connect_timeout", "socket_keepalive",
    "socket_read_size", "socket_timeout", "timeout",
})  # fmt: skip
"""What tunes a product's own client of the same URL; the sidecar has deadlines of its own."""

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")
_FALSE: Final = frozenset({"0", "f", "false", "n", "no"})
_TRUE: Final = frozenset({"1", "t", "true", "y", "yes"})
_CERT_REQS: Final = frozenset({"none", "optional", "required"})
_FORMS: Final = "give redis://host:6379/0, rediss:// or unix://"
_ENCODE: Final = (
    "; in a user name or password, write '#' as %23, '/' as %2F, '?' as %3F, '@' as %40, '%' as %25"
)


@dataclass(frozen=True, slots=True)
class RedisTls:
    """How a server's certificate is checked, and which one is shown to it."""

    verify: bool = True
    check_hostname: bool = True
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """Where a Redis is and how to log in; `path` is that of a Unix socket, else empty."""

    host: str
    port: int
    path: str
    username: str
    password: str = field(repr=False)
    database: int
    client_name: str
    tls: RedisTls | None


def parse_redis_url(text: str) -> RedisUrl:
    """Read the URL of a Redis; ValueError says what is wrong with it, without a credential."""
    try:
        return _parse(text)
    except ValueError as problem:
        # Behind an unencoded '#', '/' or '?' of a password, the rest of it and '@' are elsewhere.
        hint = _ENCODE if "@" in text else ""
        raise ValueError(f"{problem}{hint}") from None


def _parse(text: str) -> RedisUrl:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"is not a Redis URL: {_FORMS}") from None
    socket = parts.scheme == "unix"
    if parts.scheme not in _SCHEMES or not (parts.path if socket else parts.hostname):
        raise ValueError(f"is not a Redis URL: {_FORMS}")
    if "#" in text:
        raise ValueError("is not a Redis URL: it has a '#'")
    given = _parameters(parts)
    database = given.get("db") or ("" if socket else parts.path.strip("/")) or "0"
    if not (database.isascii() and database.isdigit()):
        raise ValueError("is not a Redis URL: its database is not a number, as in redis://host/0")
    return RedisUrl(
        host=unquote(parts.hostname or ""),
        port=_DEFAULT_PORT if port is None else port,
        path=unquote(parts.path) if socket else "",
        username=unquote(parts.username or "") or given.get("username", ""),
        password=unquote(parts.password or "") or given.get("password", ""),
        database=int(database),
        client_name=given.get("client_name", ""),
        tls=_tls(given) if parts.scheme == "rediss" else None,
    )


def _parameters(parts: SplitResult) -> Mapping[str, str]:
    """Return the parameters by name; the first unknown one is refused."""
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    for name, _ in pairs:
        if name in _OWN or name in _WITHOUT_EFFECT:
            continue
        if name in _TLS:
            if parts.scheme != "rediss":
                raise ValueError(f"has the parameter {name!r}, which needs rediss://")
            continue
        if "@" in parts.query or not _NAME.fullmatch(name):  # it may be the rest of a password
            raise ValueError("has an unknown parameter")
        known = _OWN + _TLS if parts.scheme == "rediss" else _OWN
        tls = name in {"tls", "ssl"}
        hint = "write rediss:// for TLS" if tls else f"known: {', '.join(known)}"
        raise ValueError(f"has the unknown parameter {name!r}: {hint}")
    return dict(reversed(pairs))  # of a repeated one the first counts


def _tls(given: Mapping[str, str]) -> RedisTls:
    requirement = given.get("ssl_cert_reqs", "required").lower()
    if requirement not in _CERT_REQS:
        raise ValueError("has an 'ssl_cert_reqs' that is not one of none, optional, required")
    check = given.get("ssl_check_hostname", "true").lower()
    if check not in _TRUE | _FALSE:
        raise ValueError("has an 'ssl_check_hostname' that is neither true nor false")
    verify = requirement != "none"  # a server always shows a certificate: optional is required
    if given.get("ssl_keyfile") and not given.get("ssl_certfile"):
        raise ValueError("has 'ssl_keyfile' without 'ssl_certfile'")
    return RedisTls(
        verify=verify,
        check_hostname=verify and check in _TRUE,
        ca_file=given.get("ssl_ca_certs") or None,
        certificate_file=given.get("ssl_certfile") or None,
        key_file=given.get("ssl_keyfile") or None,
    )
