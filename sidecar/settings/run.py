"""All settings of `run`: read together, checked against each other, every problem in one report."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from sidecar.settings.fields import Given, add_flags
from sidecar.settings.sections import (
    AdminSettings,
    Limits,
    ListenSettings,
    OrgSettings,
    PlatformSettings,
    PolicySettings,
    ProcessSettings,
    StateSettings,
    UpstreamSettings,
)

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of `run`. A key is a value, or the file that it is read from.

    `upstream` is None for `authz`, which forwards nothing.
    """

    policy: PolicySettings
    upstream: UpstreamSettings | None
    listen: ListenSettings
    admin: AdminSettings
    platform: PlatformSettings
    state: StateSettings = StateSettings()
    process: ProcessSettings = ProcessSettings()
    limits: Limits = Limits()
    org: OrgSettings = OrgSettings()

    @classmethod
    def from_args(cls, args: argparse.Namespace, environ: Mapping[str, str]) -> Self:
        """Read flags, `environ` and defaults. Raises SettingsError with every problem there is."""
        given = Given(args, environ)
        made: dict[str, Any] = {n: given.section(kind) for n, kind in SECTIONS.items()}
        given.problems += _clashes(made["listen"], made["admin"], made["upstream"])
        if "--webhook-secret-file" not in given.wrong:
            given.problems += _webhook_problems(made["org"], made["process"].workers)
        given.done()
        return cls(**made)


SECTIONS: Final[dict[str, type[Any]]] = {
    "policy": PolicySettings,
    "upstream": UpstreamSettings,
    "listen": ListenSettings,
    "admin": AdminSettings,
    "platform": PlatformSettings,
    "state": StateSettings,
    "process": ProcessSettings,
    "limits": Limits,
    "org": OrgSettings,
}
"""Every section, by its name in Settings, in the order of the help."""


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a flag for every setting."""
    add_flags(parser, *SECTIONS.values())


def _webhook_problems(org: OrgSettings, workers: int) -> Iterator[str]:
    """Find what no webhook can work with; several processes cannot each register one URL."""
    if org.webhook_url is None and isinstance(org.webhook_secret, Path):
        yield (
            "--webhook-secret-file: is of no use without --webhook-url: give the URL that it was"
            " registered for"
        )
    if org.webhook_url is not None and org.webhook_secret is None and workers > 1:
        yield (
            f"--webhook-url: {workers} workers need one secret: register the URL once with"
            " `bb-sidecar webhooks register` and give it as --webhook-secret-file"
        )


def _clashes(
    listen: ListenSettings, admin: AdminSettings, upstream: UpstreamSettings | None
) -> Iterator[str]:
    """Find addresses that are right alone and wrong together."""
    taken = [("--port", listen.address)]
    for flag, address in (("--admin", admin.address), ("--metrics", admin.metrics)):
        if address is None:
            continue
        for other, there in taken:
            if address.overlaps(there):
                yield f"{flag}: {str(address)!r} is the port of {other}: give it another one"
        taken.append((flag, address))
    origin = None if upstream is None else upstream.origin
    if origin and origin.host in _LOOPBACK and listen.port and origin.port == listen.port:
        own = f"--upstream: {origin.url!r} is the sidecar's own --port {listen.port}"
        yield f"{own}: give the product's port"
