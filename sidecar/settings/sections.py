"""The settings of `run`, a frozen dataclass a section. Each field holds all that is written of it.

The names of the flags and variables are fixed by the interface ("Settings of `run`"); those of
`Limits` and `OrgSettings` are ours. A test compares docs/settings.md with the sections.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from sidecar.settings.fields import credential, setting
from sidecar.settings.ranges import duration, optional_duration, whole, word
from sidecar.settings.secret import BBAS_KEY, BBK_KEY, WEBHOOK_SECRET, Secret
from sidecar.settings.values import (
    Address,
    Network,
    Origin,
    WebhookUrl,
    parse_address,
    parse_host,
    parse_issuer,
    parse_networks,
    parse_origin,
    parse_path,
    parse_port,
    parse_protocols,
    parse_pseudonym,
    parse_redis,
    parse_slug,
    parse_webhook_url,
)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """The policy."""

    file: Path = setting("--policy", parse_path, "the policy file")
    product: str | None = setting(
        "--product", parse_slug, "the product's slug",
        env="PRODUCT_SLUG", default=None, shown="the policy's product",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """The product."""

    origin: Origin = setting(
        "--upstream", parse_origin, "the product, as http://host:port or https://host"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenSettings:
    """Listening for the product's clients."""

    host: str = setting(
        "--host", parse_host, "address to listen on; `::` is every address, IPv4 included",
        default="0.0.0.0",
    )  # fmt: skip
    port: int = setting("--port", parse_port, "port to listen on", env="PORT", default=8080)
    trusted_proxies: tuple[Network, ...] = setting(
        "--trusted-proxies", parse_networks,
        "CIDRs whose forwarded headers and request IDs are believed", default=(), shown="none",
    )  # fmt: skip
    upgrades: tuple[str, ...] = setting(
        "--upgrades", parse_protocols,
        "protocols, beside websocket, that clients may switch to (`Upgrade`), as the product names"
        " them", default=(), shown="none",
    )  # fmt: skip
    via: str | None = setting(
        "--via", parse_pseudonym,
        "the name under which the sidecar adds itself to the Via field", default=None,
    )  # fmt: skip

    @property
    def address(self) -> Address:
        """Host and port."""
        return Address(self.host, self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminSettings:
    """The admin port, and the metrics."""

    address: Address = setting(
        "--admin", parse_address, "address of the admin port", default=Address("127.0.0.1", 9901)
    )
    socket: Path | None = setting(
        "--admin-socket", parse_path, "a Unix socket that alone takes reload and drain",
        default=None, shown="none: changes are taken from this machine on --admin",
    )  # fmt: skip
    metrics: Address | None = setting(
        "--metrics", parse_address, "address for scrapers and probes alone",
        default=None, shown="none: on --admin alone",
    )  # fmt: skip
    metrics_orgs: int = setting(
        "--metrics-orgs", whole(0, 100_000), "orgs, the most recent ones, with quota gauges",
        default=100,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformSettings:
    """The platform, and the product's key for it."""

    api: Origin = setting(
        "--platform-url", parse_origin, "the platform's API",
        env="PLATFORM_API_URL", default=Origin("https", "api.bizbasics.ai", 443),
    )  # fmt: skip
    auth: Origin = setting(
        "--auth-url", parse_origin, "the auth host, for the key set",
        env="AUTH_SERVICE_URL", default=Origin("https", "auth.bizbasics.ai", 443),
    )  # fmt: skip
    issuer: str | None = setting(
        "--issuer", parse_issuer, "the `iss` of tokens", default=None, shown="the auth URL"
    )
    key: Secret | Path = credential(
        "--key-file", BBAS_KEY, "file with the product's bbas_ key, read again when it changes",
        variable="PLATFORM_INTERNAL_KEY",
    )  # fmt: skip

    @property
    def token_issuer(self) -> str:
        """The `iss` that tokens must have."""
        return self.issuer or self.auth.url


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSettings:
    """What outlives the process, or is shared by replicas."""

    journal: Path | None = setting(
        "--journal", parse_path, "file for what the platform has not confirmed yet",
        default=None, shown="none: in memory",
    )  # fmt: skip
    redis: Secret | None = setting(
        "--redis", parse_redis, "state shared by replicas",
        env="REDIS_URL", default=None, shown="none: local state", private=True,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSettings:
    """The process, and its log."""

    workers: int = setting("--workers", whole(1, 64), "processes", default=1)
    drain_seconds: float = setting(
        "--drain-seconds", duration(0, 3600), "how long requests may finish after SIGTERM",
        default=25.0, shown="25",
    )  # fmt: skip
    log_level: LogLevel = setting(
        "--log-level", word(LogLevel), "the least severe line that is written",
        default=LogLevel.INFO,
    )  # fmt: skip
    log_format: LogFormat | None = setting(
        "--log-format", word(LogFormat), "how a line is written",
        default=None, shown="json unless a terminal",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the data plane bounds. Times in seconds, sizes in bytes; None means no limit."""

    max_connections: int = setting(
        "--max-connections", whole(1, 1_000_000), "open client connections", default=10_000
    )
    max_inflight: int = setting(
        "--max-inflight", whole(1, 1_000_000), "requests at once, streams included", default=4096
    )
    max_head_bytes: int = setting(
        "--max-head-bytes", whole(1024, 1 << 20), "size of a head, in bytes", default=32_768
    )
    max_fields: int = setting(
        "--max-fields", whole(8, 10_000), "header fields in a head", default=100
    )
    head_timeout: float = setting(
        "--head-timeout", duration(0.1, 600), "first to last byte of a request head", default=10.0
    )
    idle_timeout: float = setting(
        "--idle-timeout", duration(0.1, _DAY), "silence between two requests", default=620.0
    )
    connect_timeout: float = setting(
        "--connect-timeout", duration(0.01, 600), "connecting to the upstream", default=2.0
    )
    first_byte_timeout: float | None = setting(
        "--first-byte-timeout", optional_duration(0.01, _DAY),
        "the upstream's first byte after the request; `none` waits as long as the client does",
        default=None,
    )  # fmt: skip
    body_idle_timeout: float | None = setting(
        "--body-idle-timeout", optional_duration(0.1, _DAY),
        "a request's body without progress, or an answer that the client does not take;"
        " `none` never ends one", default=60.0,
    )  # fmt: skip
    answer_idle_timeout: float | None = setting(
        "--answer-idle-timeout", optional_duration(0.1, _DAY),
        "an answer that has begun, without progress; an event stream may be silent for ever",
        default=300.0,
    )  # fmt: skip
    request_timeout: float | None = setting(
        "--request-timeout", optional_duration(0.1, _DAY),
        "the whole body of a request, however slow it is; `none` lets uploads last", default=300.0,
    )  # fmt: skip
    upstream_connections: int | None = setting(
        "--upstream-connections", whole(1, 1_000_000),
        "connections to the upstream at most, streams included",
        default=None, shown="as many as --max-inflight",
    )  # fmt: skip
    body_memory: int | None = setting(
        "--body-memory", whole(1 << 20, 1 << 40),
        "bytes of request bodies held at once, by all workers together",
        default=None, shown="a part of the memory limit",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class OrgSettings:
    """Credentials of an org, for notices and the webhook."""

    api_key: Secret | Path | None = credential(
        "--api-key-file", BBK_KEY,
        "file with the bbk_ key that notices are published with, read again when it changes",
        variable="BIZBASICS_API_KEY", default=None,
    )  # fmt: skip
    webhook_url: WebhookUrl | None = setting(
        "--webhook-url", parse_webhook_url,
        "the public URL under which the platform's events reach this sidecar", default=None,
    )  # fmt: skip
    webhook_secret: Secret | Path | None = credential(
        "--webhook-secret-file", WEBHOOK_SECRET,
        "file with the secret of a webhook that is registered already",
        variable="SIDECAR_WEBHOOK_SECRET", default=None, shown="none: it registers itself",
    )  # fmt: skip
