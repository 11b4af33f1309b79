"""The settings of a middleware: those of `run` that a product's own process has, as keywords."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self, get_type_hints

from sidecar.settings.fields import Given, SettingsError, like, options
from sidecar.settings.sections import (
    AdminSettings,
    Limits,
    PlatformSettings,
    PolicySettings,
    ProcessSettings,
    StateSettings,
)

_FLAG: Final = re.compile(r"--([a-z]+(?:-[a-z]+)*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedSettings:
    """What an engine in a product's process takes of that process."""

    metrics_orgs: int = like(AdminSettings, "metrics_orgs")
    drain_seconds: float = like(ProcessSettings, "drain_seconds")
    body_idle_timeout: float | None = like(Limits, "body_idle_timeout")
    request_timeout: float | None = like(Limits, "request_timeout")
    body_memory: int | None = like(Limits, "body_memory")


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedSettings:
    """All settings of a middleware. It has no port, no upstream and no workers of its own."""

    policy: PolicySettings
    platform: PlatformSettings
    state: StateSettings = StateSettings()
    hosted: HostedSettings = HostedSettings()

    @classmethod
    def from_keywords(cls, keywords: Mapping[str, object], environ: Mapping[str, str]) -> Self:
        """Read keywords, `environ` and defaults. Raises SettingsError with every problem there is.

        A keyword is named like the flag of `run`; None leaves it to its variable or its default.
        """
        known = {option.name for option in options(*SECTIONS.values())}
        values = {name: str(value) for name, value in keywords.items() if value is not None}
        given = Given(argparse.Namespace(**{name: values.get(name) for name in known}), environ)
        given.problems += [
            f"{name}= is no setting of a middleware: use one of {', '.join(sorted(known))}"
            for name in keywords
            if name not in known
        ]
        made: dict[str, Any] = {name: given.section(kind) for name, kind in SECTIONS.items()}
        if given.problems:
            raise SettingsError(tuple(map(_for_keywords, given.problems)))
        return cls(**made)


SECTIONS: Final[dict[str, type[Any]]] = get_type_hints(EmbeddedSettings)
"""Every section, by its name in EmbeddedSettings."""


def _for_keywords(problem: str) -> str:
    """Name keywords in place of flags."""
    return _FLAG.sub(lambda flag: flag[1].replace("-", "_") + "=", problem)
