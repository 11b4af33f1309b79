"""Variables of the environment that look like settings and are none. Pure.

A misspelt variable would otherwise be ignored in silence, and the setting keep its default.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Final

from sidecar.settings.authz import AUTHZ_SECTIONS
from sidecar.settings.commands import COMMAND_SECTIONS
from sidecar.settings.fields import options
from sidecar.settings.run import SECTIONS

_PREFIX: Final = "SIDECAR_"
_OF_A_SERVICE: Final = re.compile(
    r"\w+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
"""What Kubernetes sets for a Service; it also sets `…_PORT`, to a URL."""


def misspelt_variables(
    environ: Mapping[str, str], policy: bytes = b""
) -> Iterator[tuple[str, str]]:
    """Give each one, and the nearest variable that is a setting; "" where none is near.

    A name in the `policy` file is none of them: it may be the `secret_env` of an identity.
    """
    all_options = options(*SECTIONS.values(), *AUTHZ_SECTIONS.values(), *COMMAND_SECTIONS)
    names = {name for option in all_options for name in (option.env, option.variable)}
    # By the flag too: SIDECAR_PORT is meant for --port, whose variable is PORT.
    known = {option.name.upper(): option.env for option in reversed(all_options)}
    known |= {name.removeprefix(_PREFIX): name for name in names}
    for name, value in environ.items():
        if (
            not name.startswith(_PREFIX)
            or name in names
            or name.encode(errors="surrogateescape") in policy
        ):
            continue
        if _OF_A_SERVICE.fullmatch(name) or (name.endswith("_PORT") and "://" in value):
            continue
        near = get_close_matches(name.removeprefix(_PREFIX), known, n=1)
        yield name, known[near[0]] if near else ""
