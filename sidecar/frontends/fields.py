"""Header fields as the engine sees them: what only we may set is taken out. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sidecar.domain.model import Headers, Identity
from sidecar.http1.heads import DECIDED_NAME, FOLDED

_IDENTITY: Final = (b"x-bb-org-id", b"x-bb-user-id", b"x-bb-plan", b"x-bb-role")


def without_ours(fields: Iterable[Iterable[bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the fields without identities that a client made up, in every spelling of their names.

    Names are in lower case; some servers give lists where others give tuples.
    """
    named = ((bytes(name).lower(), bytes(value)) for name, value in fields)
    return [(name, value.strip(b" \t")) for name, value in named if not is_ours(name)]


def decided_on(fields: Headers) -> list[tuple[bytes, bytes]]:
    """Return a call's fields as the most careless product reads their names.

    Behind CGI, WSGI or Rack `x_units` is `x-units`. The proxy drops such a field; at a door it goes
    on to the product, so that a price or a route that it names has to count.
    """
    return [(DECIDED_NAME[name], value) for name, value in fields]


def is_ours(name: bytes) -> bool:
    """Whether a product could read a field's name, in lower case, as that of an identity."""
    return name.translate(FOLDED).startswith(b"x-bb-")


def identity_fields(identity: Identity | None) -> list[tuple[bytes, bytes]]:
    """Return who calls, for the product; what is not known is not there."""
    if identity is None:
        return []
    values = (identity.org_id, identity.user_id, identity.plan, identity.role)
    named = zip(_IDENTITY, values, strict=True)
    return [(name, value.encode("ascii")) for name, value in named if value]


def field_of(headers: Headers, wanted: bytes) -> bytes | None:
    """Return the value of a field that is there once; None otherwise."""
    found = [value for name, value in headers if name == wanted]
    return found[0] if len(found) == 1 else None


def with_length(fields: Headers, length: int) -> list[tuple[bytes, bytes]]:
    """Return the fields with the length of a changed body, where they name one."""
    said = b"%d" % length
    return [(name, said if name == b"content-length" else value) for name, value in fields]
