"""Where the platform is and with which keys it is asked: from flags, environment and files.

The same names as those of `run`, so that a product's environment serves as it is. A key is never
a flag's value: every user of a machine can see flags.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sidecar.client import (
    CredentialMissingError,
    CredentialRefusedError,
    Patience,
    PlatformClient,
)
from sidecar.domain.errors import UserError
from sidecar.settings.commands import AccessSettings
from sidecar.settings.fields import options, read_section
from sidecar.settings.secret import BBAS_KEY, BBK_KEY, Secret, read_key_file


@dataclass(frozen=True, slots=True)
class PlatformAccess:
    """The platform's hosts, and the keys that are there."""

    url: str
    auth_url: str
    internal_key: Secret | None
    api_key: Secret | None

    def client(self) -> PlatformClient:
        """Return a client with these keys, and deadlines for a person who waits."""
        return PlatformClient(
            internal_key=self.internal_key,
            api_key=self.api_key,
            url=self.url,
            auth_url=self.auth_url,
            patience=Patience(attempt=5.0, deadline=5.0),
        )


def read_access(args: argparse.Namespace, environ: Mapping[str, str]) -> PlatformAccess:
    """Read flags, `environ` and defaults. Raises SettingsError with every problem."""
    given = read_section(AccessSettings, args, environ)
    return PlatformAccess(
        given.api.url,
        given.auth.url,
        _read(given.key, BBAS_KEY),
        _read(given.api_key, BBK_KEY),
    )


def missing(error: CredentialMissingError) -> UserError:
    """Say where the key that a command needs is looked for."""
    of_product = BBAS_KEY in str(error)
    whose = "the product's bbas_" if of_product else "an org's bbk_"
    return UserError(f"this needs {whose} key: {_place(BBAS_KEY if of_product else BBK_KEY)}")


def refused(error: CredentialRefusedError) -> UserError:
    """Say where the key that the platform refused is looked for."""
    of_product = f"the {BBAS_KEY} was refused" in str(error)
    return UserError(f"{error}; {_place(BBAS_KEY if of_product else BBK_KEY)}")


def _place(kind: str) -> str:
    (option,) = (each for each in options(AccessSettings) if each.kind == kind)
    return f"set {option.variable}, or name a file with {option.flag}"


def _read(key: Secret | Path | None, what: str) -> Secret | None:
    return read_key_file(key, what) if isinstance(key, Path) else key
