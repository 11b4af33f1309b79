"""Which other methods a call asks for: many frameworks run the handler of an overriding method.

`X-HTTP-Method-Override` (Rack, Symfony, Laravel, ASP.NET), `X-HTTP-Method` (OData),
`X-Method-Override`, and the same names or `_method` in the query. What a form asks for in a body
is not looked at: see the policy reference.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_plus

from sidecar.domain.model import Headers

METHOD: Final = re.compile(r"[A-Z0-9!#$%&'*+.^_`|~-]+")
MAX_OVERRIDES: Final = 4
"""A call that asks for more methods than this is refused."""

_NOT_IN_A_NAME: Final = re.compile(r"[^a-z0-9]")
NAMES: Final = frozenset(
    {"httpmethod", "httpmethodoverride", "methodoverride"}
    | {"xhttpmethod", "xhttpmethodoverride", "xmethodoverride"}
)
"""Of fields and of the query, without what stands between their words."""

_METHOD_FIELD: Final = "_method"


def asked_methods(headers: Headers, query: str) -> frozenset[str]:
    """Return the methods in upper case that headers and the raw query ask for, if any."""
    return frozenset(
        method
        for each in override_texts(headers, query)
        if METHOD.fullmatch(method := each.strip().upper()) is not None
    )


def override_texts(headers: Headers, query: str) -> list[str]:
    """Return what overrides in headers and the raw query hold, methods or not."""
    found: list[str] = []
    for name, value in headers:
        if b"method" in name and _folded(name.decode("latin-1")) in NAMES:
            found += value.decode("latin-1").split(",")
    if query and ("%" in query or "method" in query.lower()):
        for part in re.split("[&;]", unquote_plus(query)):
            name_, _, text = part.partition("=")
            if name_.strip().lower().startswith(_METHOD_FIELD) or _folded(name_) in NAMES:
                found += text.split(",")
    return found


def _folded(name: str) -> str:
    """Return a name as servers compare it that pass it on as a variable, like CGI."""
    return _NOT_IN_A_NAME.sub("", name.lower())
