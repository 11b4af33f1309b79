"""How a credential is found: the file that a setting names, else an environment variable."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sidecar.domain.errors import UserError
from sidecar.settings.options import Given, Option
from sidecar.settings.secret import Secret, parse_key, read_key_file


def find_credential(
    given: Given, environ: Mapping[str, str], option: Option[Path], variable: str, what: str
) -> Secret | Path | None:
    """Find a credential: the file, else the variable; an unusable one is a problem.

    `what` names its kind in messages. None where there is none, or a problem.
    """
    path = given.optional(option)
    value = environ.get(variable)
    try:
        if path is not None:
            read_key_file(path, what)
            return path
        if value:
            return parse_key(value, what)
    except UserError as error:
        given.problems.append(str(error))
    except ValueError as error:
        given.problems.append(f"{variable}: the value {error}")
    return None
