"""The settings of `authz`: those of `run`, without an upstream and without workers."""

from __future__ import annotations

import argparse
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sidecar.settings.fields import Given, add_flags, like, setting
from sidecar.settings.run import Settings
from sidecar.settings.sections import (
    AdminSettings,
    Limits,
    ListenSettings,
    LogFormat,
    LogLevel,
    PlatformSettings,
    PolicySettings,
    ProcessSettings,
    StateSettings,
)
from sidecar.settings.values import Address, Network, parse_address

_THIS_MACHINE: Final = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthzListenSettings:
    """Listening for programs that ask."""

    http: Address = setting(
        "--http", parse_address, "address that nginx, Traefik, Caddy and Envoy ask",
        default=Address("127.0.0.1", 8093),
    )  # fmt: skip
    trusted_proxies: tuple[Network, ...] = like(
        ListenSettings, "trusted_proxies",
        help="CIDRs whose request IDs are believed, beside this machine",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthzProcessSettings:
    """The process, and its log."""

    drain_seconds: float = like(ProcessSettings, "drain_seconds")
    log_level: LogLevel = like(ProcessSettings, "log_level")
    log_format: LogFormat | None = like(ProcessSettings, "log_format")


AUTHZ_SECTIONS: Final[dict[str, type[Any]]] = {
    "policy": PolicySettings,
    "listen": AuthzListenSettings,
    "admin": AdminSettings,
    "platform": PlatformSettings,
    "state": StateSettings,
    "process": AuthzProcessSettings,
    "limits": Limits,
}


def add_authz_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a flag for every setting."""
    add_flags(parser, *AUTHZ_SECTIONS.values())


def authz_settings(args: argparse.Namespace, environ: Mapping[str, str]) -> Settings:
    """Read flags, `environ` and defaults. Raises SettingsError with every problem there is."""
    given = Given(args, environ)
    made: dict[str, Any] = {name: given.section(kind) for name, kind in AUTHZ_SECTIONS.items()}
    given.done()
    listen: AuthzListenSettings = made["listen"]
    process: AuthzProcessSettings = made["process"]
    made["listen"] = ListenSettings(
        host=listen.http.host,
        port=listen.http.port,
        trusted_proxies=(*listen.trusted_proxies, *_THIS_MACHINE),
    )
    made["process"] = ProcessSettings(
        drain_seconds=process.drain_seconds,
        log_level=process.log_level,
        log_format=process.log_format,
    )
    return Settings(upstream=None, **made)
