"""The settings of `authz`: those of `run`, without an upstream and without workers."""

from __future__ import annotations

import argparse
import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
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
from sidecar.settings.values import Address, Network, parse_address, parse_path

_THIS_MACHINE: Final = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthzListenSettings:
    """Listening for programs that ask."""

    http: Address = setting(
        "--http", parse_address, "address that nginx, Traefik, Caddy and Envoy ask",
        default=Address("127.0.0.1", 8093),
    )  # fmt: skip
    grpc: Address | None = setting(
        "--grpc", parse_address, "address that Envoy asks over gRPC: ext_authz, ext_proc, health",
        default=None, shown="none: no gRPC",
    )  # fmt: skip
    grpc_cert: Path | None = setting(
        "--grpc-cert", parse_path,
        "PEM file of the gRPC port's certificate chain, read again when it changes",
        default=None, shown="none: no TLS",
    )  # fmt: skip
    grpc_key: Path | None = setting(
        "--grpc-key", parse_path, "PEM file of its private key, read again when it changes",
        default=None,
    )  # fmt: skip
    grpc_client_ca: Path | None = setting(
        "--grpc-client-ca", parse_path,
        "PEM file of the authorities whose clients may ask over gRPC, read again when it changes",
        default=None, shown="none: clients need no certificate",
    )  # fmt: skip
    trusted_proxies: tuple[Network, ...] = like(
        ListenSettings, "trusted_proxies",
        help="CIDRs whose request IDs are believed, beside this machine",
    )  # fmt: skip

    @property
    def problems(self) -> Iterator[str]:
        """What is right alone and wrong together."""
        if self.grpc is None:
            for flag, given in (
                ("--grpc-cert", self.grpc_cert),
                ("--grpc-key", self.grpc_key),
                ("--grpc-client-ca", self.grpc_client_ca),
            ):
                if given is not None:
                    yield f"{flag}: is of no use without --grpc: give that an address too"
            return
        if self.grpc.overlaps(self.http):
            yield f"--grpc: {str(self.grpc)!r} is the port of --http: give it another one"
        if (self.grpc_cert is None) != (self.grpc_key is None):
            yield "--grpc-cert, --grpc-key: TLS needs both: give the other one too"
        elif self.grpc_client_ca is not None and self.grpc_cert is None:
            yield "--grpc-client-ca: needs TLS: give --grpc-cert and --grpc-key too"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthzSettings:
    """All settings of `authz`: those that it shares with `run`, and its own."""

    shared: Settings
    listen: AuthzListenSettings


def authz_settings(args: argparse.Namespace, environ: Mapping[str, str]) -> AuthzSettings:
    """Read flags, `environ` and defaults. Raises SettingsError with every problem there is."""
    given = Given(args, environ)
    made: dict[str, Any] = {name: given.section(kind) for name, kind in AUTHZ_SECTIONS.items()}
    listen: AuthzListenSettings = made["listen"]
    given.problems += listen.problems
    given.done()
    made["listen"] = ListenSettings(
        host=listen.http.host,
        port=listen.http.port,
        trusted_proxies=(*listen.trusted_proxies, *_THIS_MACHINE),
    )
    made["process"] = ProcessSettings(**asdict(made["process"]))
    return AuthzSettings(shared=Settings(upstream=None, **made), listen=listen)
