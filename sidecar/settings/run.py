"""The settings of `run`: flag over environment over default, every problem in one report.

One table says what there is: flags, help and docs are read from it. docs/settings.md lists every
row, and a test keeps it so. Source: the interface, "Settings of `run`"; rows marked ours are ours.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from sidecar.settings.credentials import find_credential
from sidecar.settings.options import Given, Option, SettingsError
from sidecar.settings.secret import BBAS_KEY, BBK_KEY, WEBHOOK_SECRET, Secret
from sidecar.settings.values import (
    Address,
    Network,
    Origin,
    WebhookUrl,
    duration,
    optional_duration,
    parse_address,
    parse_host,
    parse_issuer,
    parse_networks,
    parse_origin,
    parse_path,
    parse_port,
    parse_redis,
    parse_slug,
    parse_webhook_url,
    whole,
)

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

KEY_VARIABLE: Final = "PLATFORM_INTERNAL_KEY"
"""The variable every product on the platform already has (contract, Hosts and credentials)."""

API_KEY_VARIABLE: Final = "BIZBASICS_API_KEY"
WEBHOOK_SECRET_VARIABLE: Final = "SIDECAR_WEBHOOK_SECRET"  # noqa: S105 - a variable's name
"""Where a bbk_ key and a webhook's secret stand when no file holds them [ours]."""

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_DAY: Final = 86_400.0


class LogLevel(StrEnum):
    """The least severe record that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """JSON lines for collectors, text for people."""

    JSON = "json"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the data plane bounds. Times in seconds, sizes in bytes; None means no limit.

    `max_inflight` counts requests, streams included; `head_timeout` runs from the first byte of a
    head to its last; `idle_timeout` between requests of one connection; `body_idle_timeout`
    without progress of a body in either direction; `request_timeout` from the end of a head to that
    of its body; `upstream_connections` are kept idle; `body_memory` is for all workers together,
    None derives it from the memory limit.
    """

    max_connections: int = 10_000
    max_inflight: int = 4096
    max_head_bytes: int = 32_768
    max_fields: int = 100
    head_timeout: float = 10.0
    idle_timeout: float = 75.0
    connect_timeout: float = 2.0
    first_byte_timeout: float | None = None
    body_idle_timeout: float | None = 60.0
    request_timeout: float | None = 300.0
    upstream_connections: int = 256
    body_memory: int | None = None


def _member(kind: type[E]) -> Callable[[str], E]:
    words = ", ".join(member.value for member in kind)

    def parse(text: str) -> E:
        try:
            return kind(text.lower())
        except ValueError:
            raise ValueError(f"is not one of {words}") from None

    return parse


def _ours(flag: str, parse: Callable[[str], T], default: T, text: str) -> Option[T]:
    env = "SIDECAR_" + flag.removeprefix("--").replace("-", "_").upper()
    return Option(flag, env, parse, default, text, ours=True)


_L: Final = Limits()

POLICY = Option("--policy", "SIDECAR_POLICY", parse_path, None, "the policy file", required=True)
UPSTREAM = Option(
    "--upstream", "SIDECAR_UPSTREAM", parse_origin, None,
    "the product, as http://host:port or https://host", required=True,
)  # fmt: skip
HOST = Option("--host", "SIDECAR_HOST", parse_host, "0.0.0.0", "address to listen on")
PORT = Option("--port", "PORT", parse_port, 8080, "port to listen on")
ADMIN = Option(
    "--admin", "SIDECAR_ADMIN", parse_address, Address("127.0.0.1", 9901),
    "address of the admin port",
)  # fmt: skip
ADMIN_SOCKET: Option[Path] = Option(
    "--admin-socket", "SIDECAR_ADMIN_SOCKET", parse_path, None,
    "a Unix socket that alone takes reload and drain",
    shown="none: changes are taken from this machine on --admin",
)  # fmt: skip
METRICS: Option[Address] = Option(
    "--metrics", "SIDECAR_METRICS", parse_address, None,
    "address for scrapers and probes alone", shown="none: on --admin alone",
)  # fmt: skip
PLATFORM_URL = Option(
    "--platform-url", "PLATFORM_API_URL", parse_origin, Origin("https", "api.bizbasics.ai", 443),
    "the platform's API",
)  # fmt: skip
AUTH_URL = Option(
    "--auth-url", "AUTH_SERVICE_URL", parse_origin, Origin("https", "auth.bizbasics.ai", 443),
    "the auth host, for the key set",
)  # fmt: skip
ISSUER = Option(
    "--issuer", "SIDECAR_ISSUER", parse_issuer, None, "the `iss` of tokens", shown="the auth URL"
)
KEY_FILE = Option(
    "--key-file", "SIDECAR_KEY_FILE", parse_path, None,
    f"file with the bbas_ key, read again when it changes; else the variable {KEY_VARIABLE}",
    shown="required",
)  # fmt: skip
PRODUCT = Option(
    "--product", "PRODUCT_SLUG", parse_slug, None, "the product's slug",
    shown="the policy's product",
)  # fmt: skip
JOURNAL = Option(
    "--journal", "SIDECAR_JOURNAL", parse_path, None,
    "file for what the platform has not confirmed yet", shown="none: in memory",
)  # fmt: skip
REDIS = Option(
    "--redis", "REDIS_URL", parse_redis, None, "state shared by replicas",
    shown="none: local state", private=True,
)  # fmt: skip
WORKERS = Option("--workers", "SIDECAR_WORKERS", whole(1, 64), 1, "processes")
LOG_LEVEL = Option(
    "--log-level", "SIDECAR_LOG_LEVEL", _member(LogLevel), LogLevel.INFO,
    "debug, info, warning or error",
)  # fmt: skip
LOG_FORMAT = Option(
    "--log-format", "SIDECAR_LOG_FORMAT", _member(LogFormat), None, "json or text",
    shown="json unless a terminal",
)  # fmt: skip
DRAIN_SECONDS = Option(
    "--drain-seconds", "SIDECAR_DRAIN_SECONDS", duration(0, 3600), 25.0,
    "how long requests may finish after SIGTERM", shown="25",
)  # fmt: skip
TRUSTED_PROXIES: Option[tuple[Network, ...]] = Option(
    "--trusted-proxies", "SIDECAR_TRUSTED_PROXIES", parse_networks, (),
    "CIDRs whose forwarded headers and request IDs are believed", shown="none",
)  # fmt: skip
MAX_CONNECTIONS = _ours(
    "--max-connections", whole(1, 1_000_000), _L.max_connections, "open client connections"
)
MAX_INFLIGHT = _ours(
    "--max-inflight", whole(1, 1_000_000), _L.max_inflight, "requests at once, streams included"
)
MAX_HEAD_BYTES = _ours(
    "--max-head-bytes", whole(1024, 1 << 20), _L.max_head_bytes, "size of a head, in bytes"
)
MAX_FIELDS = _ours("--max-fields", whole(8, 10_000), _L.max_fields, "header fields in a head")
HEAD_TIMEOUT = _ours(
    "--head-timeout", duration(0.1, 600), _L.head_timeout, "first to last byte of a request head"
)
IDLE_TIMEOUT = _ours(
    "--idle-timeout", duration(0.1, _DAY), _L.idle_timeout, "silence between two requests"
)
CONNECT_TIMEOUT = _ours(
    "--connect-timeout", duration(0.01, 600), _L.connect_timeout, "connecting to the upstream"
)
FIRST_BYTE_TIMEOUT = _ours(
    "--first-byte-timeout", optional_duration(0.01, _DAY), _L.first_byte_timeout,
    "the upstream's first byte after the request; `none` waits as long as the client does",
)  # fmt: skip
BODY_IDLE_TIMEOUT = _ours(
    "--body-idle-timeout", optional_duration(0.1, _DAY), _L.body_idle_timeout,
    "a body without progress, either way; `none` never ends one",
)  # fmt: skip
REQUEST_TIMEOUT = _ours(
    "--request-timeout", optional_duration(0.1, _DAY), _L.request_timeout,
    "the whole body of a request, however it trickles in; `none` lets uploads last",
)  # fmt: skip
UPSTREAM_CONNECTIONS = _ours(
    "--upstream-connections", whole(0, 100_000), _L.upstream_connections,
    "idle connections kept to the upstream",
)  # fmt: skip
BODY_MEMORY: Option[int] = Option(
    "--body-memory", "SIDECAR_BODY_MEMORY", whole(1 << 20, 1 << 40), None,
    "bytes of request bodies held at once, by all workers together",
    shown="a part of the memory limit", ours=True,
)  # fmt: skip
METRICS_ORGS = _ours(
    "--metrics-orgs", whole(0, 100_000), 100, "orgs, the most recent ones, with quota gauges"
)

API_KEY_FILE: Option[Path] = Option(
    "--api-key-file", "SIDECAR_API_KEY_FILE", parse_path, None,
    f"file with the bbk_ key that notices are published with; else the variable {API_KEY_VARIABLE}",
    shown="none", ours=True,
)  # fmt: skip
WEBHOOK_URL: Option[WebhookUrl] = Option(
    "--webhook-url", "SIDECAR_WEBHOOK_URL", parse_webhook_url, None,
    "the public URL under which the platform's events reach this sidecar", ours=True,
)  # fmt: skip
WEBHOOK_SECRET_FILE: Option[Path] = Option(
    "--webhook-secret-file", "SIDECAR_WEBHOOK_SECRET_FILE", parse_path, None,
    "file with the secret of a webhook registered before; else the variable"
    f" {WEBHOOK_SECRET_VARIABLE}",
    shown="none: it registers itself", ours=True,
)  # fmt: skip

OPTIONS: Final[tuple[Option[Any], ...]] = (
    POLICY, UPSTREAM, HOST, PORT, ADMIN, ADMIN_SOCKET, METRICS, PLATFORM_URL, AUTH_URL, ISSUER,
    KEY_FILE, PRODUCT, JOURNAL, REDIS, WORKERS, LOG_LEVEL, LOG_FORMAT, DRAIN_SECONDS,
    TRUSTED_PROXIES, MAX_CONNECTIONS, MAX_INFLIGHT, MAX_HEAD_BYTES, MAX_FIELDS, HEAD_TIMEOUT,
    IDLE_TIMEOUT, CONNECT_TIMEOUT, FIRST_BYTE_TIMEOUT, BODY_IDLE_TIMEOUT, REQUEST_TIMEOUT,
    UPSTREAM_CONNECTIONS, BODY_MEMORY, METRICS_ORGS, API_KEY_FILE, WEBHOOK_URL, WEBHOOK_SECRET_FILE,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """The sidecar's own webhook. `secret` None: it registers itself and learns the secret."""

    url: WebhookUrl
    secret: Secret | Path | None


@dataclass(frozen=True, slots=True)
class Settings:
    """What `run` was told. A key is a value, or the file it is read from; times in seconds."""

    policy: Path
    upstream: Origin
    listen: Address
    admin: Address
    platform: Origin
    auth: Origin
    issuer: str
    key: Secret | Path
    product: str | None
    journal: Path | None
    redis: Secret | None
    workers: int
    log_level: LogLevel
    log_format: LogFormat
    drain_seconds: float
    trusted_proxies: tuple[Network, ...]
    metrics_orgs: int
    limits: Limits
    api_key: Secret | Path | None = None
    webhook: WebhookSettings | None = None
    admin_socket: Path | None = None
    metrics: Address | None = None

    @classmethod
    def from_args(
        cls, args: argparse.Namespace, environ: Mapping[str, str], *, terminal: bool = False
    ) -> Self:
        """Put flags over `environ` over defaults; `terminal` says whether a person reads the log.

        An empty variable counts as unset. Raises SettingsError with every problem there is.
        """
        given = Given(OPTIONS, args, environ)
        key = _key(given, environ)
        api_key = find_credential(given, environ, API_KEY_FILE, API_KEY_VARIABLE, BBK_KEY)
        webhook = _webhook(given, environ)
        _cross_check(given)
        if given.problems or key is None:
            raise SettingsError(tuple(given.problems))
        redis = given.optional(REDIS)
        return cls(
            policy=given[POLICY],
            upstream=given[UPSTREAM],
            listen=Address(given[HOST], given[PORT]),
            admin=given[ADMIN],
            platform=given[PLATFORM_URL],
            auth=given[AUTH_URL],
            issuer=given.optional(ISSUER) or given[AUTH_URL].url,
            key=key,
            product=given.optional(PRODUCT),
            journal=given.optional(JOURNAL),
            redis=None if redis is None else Secret(redis),
            workers=given[WORKERS],
            log_level=given[LOG_LEVEL],
            log_format=given.optional(LOG_FORMAT)
            or (LogFormat.TEXT if terminal else LogFormat.JSON),
            drain_seconds=given[DRAIN_SECONDS],
            trusted_proxies=given[TRUSTED_PROXIES],
            metrics_orgs=given[METRICS_ORGS],
            limits=Limits(
                max_connections=given[MAX_CONNECTIONS],
                max_inflight=given[MAX_INFLIGHT],
                max_head_bytes=given[MAX_HEAD_BYTES],
                max_fields=given[MAX_FIELDS],
                head_timeout=given[HEAD_TIMEOUT],
                idle_timeout=given[IDLE_TIMEOUT],
                connect_timeout=given[CONNECT_TIMEOUT],
                first_byte_timeout=given.optional(FIRST_BYTE_TIMEOUT),
                body_idle_timeout=given.optional(BODY_IDLE_TIMEOUT),
                request_timeout=given.optional(REQUEST_TIMEOUT),
                upstream_connections=given[UPSTREAM_CONNECTIONS],
                body_memory=given.optional(BODY_MEMORY),
            ),
            api_key=api_key,
            webhook=webhook,
            admin_socket=given.optional(ADMIN_SOCKET),
            metrics=given.optional(METRICS),
        )


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a flag for every row; what a flag does not say is left to the environment."""
    for option in OPTIONS:
        parser.add_argument(
            option.flag,
            dest=option.name,
            metavar=option.name.upper(),
            help=f"{option.help} (env {option.env}; default: {option.default_text})".replace(
                "%", "%%"
            ),
        )


def _key(given: Given, environ: Mapping[str, str]) -> Secret | Path | None:
    """Find the platform key: the file, else the variable; an unusable one is a problem."""
    before = len(given.problems)
    key = find_credential(given, environ, KEY_FILE, KEY_VARIABLE, BBAS_KEY)
    if key is None and len(given.problems) == before:
        given.problems.append(
            f"--key-file, {KEY_FILE.env} or {KEY_VARIABLE} is required: the bbas_ key of the"
            " product (never a flag's value: flags can be seen by every user)"
        )
    return key


def _webhook(given: Given, environ: Mapping[str, str]) -> WebhookSettings | None:
    """Put the webhook together; several processes cannot each register one URL."""
    url = given.optional(WEBHOOK_URL)
    if url is None:
        if given.optional(WEBHOOK_SECRET_FILE) is not None:
            given.problems.append(
                f"{WEBHOOK_SECRET_FILE.flag}: is of no use without {WEBHOOK_URL.flag}: give the URL"
                " that it was registered for"
            )
        return None
    before = len(given.problems)
    names = (WEBHOOK_SECRET_FILE, WEBHOOK_SECRET_VARIABLE, WEBHOOK_SECRET)
    secret = find_credential(given, environ, *names)
    if secret is None and given[WORKERS] > 1 and len(given.problems) == before:
        given.problems.append(
            f"--webhook-url: {given[WORKERS]} workers need one secret: register the URL once with"
            f" `bb-sidecar webhooks register` and give it as {WEBHOOK_SECRET_FILE.flag}"
        )
    return WebhookSettings(url, secret)


def _cross_check(given: Given) -> None:
    """Find values that are right alone and wrong together."""
    host, port = given[HOST], given[PORT]
    taken = [(PORT.flag, Address(host, port))]
    for option in (ADMIN, METRICS):
        address = given.optional(option)
        if address is None:
            continue
        for flag, other in taken if address.port else ():
            if address.port == other.port and {"0.0.0.0", address.host} & {"0.0.0.0", other.host}:
                clash = f"{option.flag}: {str(address)!r} is the port of {flag}"
                given.problems.append(f"{clash}: give it another one")
        taken.append((option.flag, address))
    upstream = given.optional(UPSTREAM)
    if upstream and upstream.host in _LOOPBACK and port and upstream.port == port:
        own = f"--upstream: {upstream.url!r} is the sidecar's own --port {port}"
        given.problems.append(f"{own}: give the product's port")
