"""What a pod or Service says of itself in annotations, read. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

from sidecar.domain.errors import UserError

Object = dict[str, Any]

_MAX_PORT: Final = 65535
_NAME: Final = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")
"""What Kubernetes takes for the name of a ConfigMap or Secret; a slug becomes part of one."""


class CannotInject(UserError):  # noqa: N818 - it names the refusal, which becomes an answer
    """A pod or Service asks for the sidecar in a way that leaves a choice open, or cannot work."""


def port_of(text: str, annotation: str) -> int:
    """Read a port from an annotation. Raises CannotInject when it is none."""
    # Its length first: Python refuses to read a number of thousands of digits.
    if text.isascii() and text.isdigit() and len(text) <= len("65535"):
        port = int(text)
        if 1 <= port <= _MAX_PORT:
            return port
    raise CannotInject(f"{annotation}: {text[:40]!r}: must be a port from 1 to 65535")


def name_of(asked: dict[str, str], annotation: str) -> str | None:
    """Read a name; the kubelet would look for one that cannot be without an end."""
    name = asked.get(annotation)
    if name and not is_name(name):
        raise CannotInject(
            f"{annotation}: {name[:40]!r}: must be a name of lower-case letters, digits, '-', '.'"
        )
    return name


def is_name(text: str) -> bool:
    """Whether a ConfigMap or a Secret can be called so."""
    return _NAME.fullmatch(text) is not None
