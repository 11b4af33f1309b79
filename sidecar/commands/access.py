"""Where the platform is and with which keys it is asked: from flags, environment and files.

The same names as those of `run`, so that a product's environment serves as it is. A key is never
a flag's value: every user of a machine can see flags.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sidecar.client import (
    CredentialMissingError,
    CredentialRefusedError,
    Patience,
    PlatformClient,
)
from sidecar.domain.errors import UserError
from sidecar.settings.credentials import find_credential
from sidecar.settings.options import Given, Option, SettingsError
from sidecar.settings.run import (
    API_KEY_FILE,
    API_KEY_VARIABLE,
    AUTH_URL,
    KEY_FILE,
    KEY_VARIABLE,
    PLATFORM_URL,
)
from sidecar.settings.secret import BBAS_KEY, BBK_KEY, Secret, read_key_file

_OPTIONS: Final[tuple[Option[Any], ...]] = (PLATFORM_URL, AUTH_URL, KEY_FILE, API_KEY_FILE)


@dataclass(frozen=True, slots=True)
class PlatformAccess:
    """The platform's hosts, and the keys that are there."""

    url: str
    auth_url: str
    internal_key: Secret | None
    api_key: Secret | None

    def client(self) -> PlatformClient:
        """Return a client with these keys; nobody watches a prompt for longer than this."""
        return PlatformClient(
            internal_key=self.internal_key,
            api_key=self.api_key,
            url=self.url,
            auth_url=self.auth_url,
            patience=Patience(attempt=5.0, deadline=8.0),
        )


def read_access(args: argparse.Namespace, environ: Mapping[str, str]) -> PlatformAccess:
    """Read flags over `environ` over defaults. Raises SettingsError with every problem."""
    given = Given(_OPTIONS, args, environ)
    internal_key = find_credential(given, environ, KEY_FILE, KEY_VARIABLE, BBAS_KEY)
    api_key = find_credential(given, environ, API_KEY_FILE, API_KEY_VARIABLE, BBK_KEY)
    if given.problems:
        raise SettingsError(tuple(given.problems))
    return PlatformAccess(
        given[PLATFORM_URL].url,
        given[AUTH_URL].url,
        _read(internal_key, BBAS_KEY),
        _read(api_key, BBK_KEY),
    )


def missing(error: CredentialMissingError) -> UserError:
    """Say where the key that a command needs is looked for."""
    of_product = BBAS_KEY in str(error)
    whose = "the product's bbas_" if of_product else "an org's bbk_"
    return UserError(f"this needs {whose} key: {_place(of_product=of_product)}")


def refused(error: CredentialRefusedError) -> UserError:
    """Say where the key that the platform refused is looked for."""
    of_product = f"the {BBAS_KEY} was refused" in str(error)
    return UserError(f"{error}; {_place(of_product=of_product)}")


def _place(*, of_product: bool) -> str:
    variable, option = (KEY_VARIABLE, KEY_FILE) if of_product else (API_KEY_VARIABLE, API_KEY_FILE)
    return f"set {variable}, or name a file with {option.flag}"


def _read(key: Secret | Path | None, what: str) -> Secret | None:
    return read_key_file(key, what) if isinstance(key, Path) else key
