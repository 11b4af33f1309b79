"""Which calls are a browser's CORS preflight. Pure.

A preflight carries no token, so a meter would refuse it, and the browser would not send the page's
call. A call counts as one only if nothing in it could make a product run another method's handler.
Source: the Fetch standard, "CORS-preflight fetch".
"""

from __future__ import annotations

from typing import Final

from sidecar.domain.model import Headers
from sidecar.policy.overrides import METHOD, override_texts

PREFLIGHT: Final = "OPTIONS"

_ORIGIN: Final = b"origin"
_ASKED: Final = b"access-control-request-method"
_ONCE: Final = frozenset({_ORIGIN, _ASKED, b"access-control-request-headers", b"content-length"})
_NEVER: Final = frozenset({b"transfer-encoding", b"upgrade", b"expect"})
_FORBIDDEN: Final = frozenset({"CONNECT", "TRACE", "TRACK"})
"""Methods that no page can send (Fetch standard, "forbidden method")."""


def preflight_method(method: str, headers: Headers, query: str) -> str | None:
    """Return the method that a preflight asks for; None for any other call.

    None as well with a body, an upgrade, a method override, or one of its fields given twice.
    """
    if method != PREFLIGHT:
        return None
    once: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _NEVER or name in once:
            return None
        if name in _ONCE:
            once[name] = value
        elif name == b"connection" and b"upgrade" in value.lower():
            return None
    asked = once.get(_ASKED, b"").decode("latin-1")
    if not once.get(_ORIGIN) or once.get(b"content-length", b"0") != b"0":
        return None
    if METHOD.fullmatch(asked) is None or asked in _FORBIDDEN or override_texts(headers, query):
        return None
    return asked
