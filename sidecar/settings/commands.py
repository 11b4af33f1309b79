"""The settings of commands beside `run`: the same names and defaults, read by the same rules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sidecar.settings.fields import like, setting
from sidecar.settings.secret import Secret
from sidecar.settings.sections import (
    AdminSettings,
    ListenSettings,
    OrgSettings,
    PlatformSettings,
    PolicySettings,
    StateSettings,
    UpstreamSettings,
)
from sidecar.settings.values import Address, Network, Origin, parse_path


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettings:
    """The platform."""

    api: Origin = like(PlatformSettings, "api", help="its API")
    auth: Origin = like(PlatformSettings, "auth", help="its auth host")
    key: Secret | Path | None = like(
        PlatformSettings, "key", help="file with the product's bbas_ key", default=None
    )
    api_key: Secret | Path | None = like(OrgSettings, "api_key", help="file with an org's bbk_ key")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings:
    """The local platform."""

    platform: Origin = like(
        PlatformSettings, "api", flag="--platform", help="its URL",
        default=Origin("http", "127.0.0.1", 8092),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """The sidecar that is asked."""

    admin: Address = like(AdminSettings, "address", help="its admin address")


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainSettings:
    """The sidecar that is drained."""

    admin: Address = like(AdminSettings, "address", help="its admin address")
    socket: Path | None = like(AdminSettings, "socket", help="its socket for changes", shown="none")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductSettings:
    """The product."""

    product: str | None = like(PolicySettings, "product")


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorSettings:
    """What else is checked."""

    policy: Path | None = like(PolicySettings, "file", default=None)
    product: str | None = like(PolicySettings, "product")
    upstream: Origin | None = like(UpstreamSettings, "origin", default=None)
    issuer: str | None = like(PlatformSettings, "issuer")
    token: Path | None = setting(
        "--token-file", parse_path, "file with a user's bb_at: would the sidecar accept it?",
        default=None,
    )  # fmt: skip
    trusted_proxies: tuple[Network, ...] = like(ListenSettings, "trusted_proxies")
    redis: Secret | None = like(StateSettings, "redis")


COMMAND_SECTIONS: Final = (
    AccessSettings, TokenSettings, HealthSettings, DrainSettings, ProductSettings, DoctorSettings,
)  # fmt: skip
