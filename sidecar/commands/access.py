"""The client of a command, and where the keys are looked for that it needs.

The same names as those of `run`, so that a product's environment serves as it is. A key is never
a flag's value: every user of a machine can see flags.
"""

from __future__ import annotations

from pathlib import Path

from sidecar.client import (
    CredentialMissingError,
    CredentialRefusedError,
    Patience,
    PlatformClient,
)
from sidecar.domain.errors import UserError
from sidecar.settings.commands import AccessSettings
from sidecar.settings.fields import options
from sidecar.settings.secret import BBAS_KEY, BBK_KEY, Secret, read_key_file


def client_for(access: AccessSettings) -> PlatformClient:
    """Return a client with the keys that there are, and deadlines for a person who waits."""
    return PlatformClient(
        internal_key=_read(access.key, BBAS_KEY),
        api_key=_read(access.api_key, BBK_KEY),
        url=access.api.url,
        auth_url=access.auth.url,
        patience=Patience(attempt=5.0, deadline=5.0),
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
