"""Header fields as Envoy's messages carry them, and as the engine sees them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from envoy.config.core.v3.base_pb2 import HeaderMap, HeaderValue, HeaderValueOption

from sidecar.domain.model import Headers
from sidecar.frontends.fields import is_ours
from sidecar.http1.heads import FOLDED

Pairs = list[tuple[bytes, bytes]]
"""Names in lower case, and values as they came."""


_REQUEST_ID: Final = b"x-request-id"

MOST_FIELDS: Final = 1000
MOST_HEAD_BYTES: Final = 256 * 1024

TOO_LARGE: Final = (
    f"The head has more than {MOST_FIELDS} fields, or more than {MOST_HEAD_BYTES // 1024} KiB."
)


def is_too_large(header_map: HeaderMap, texts: Mapping[str, str] | None = None) -> bool:
    """Whether a head costs more to read than one call may cost the others."""
    if header_map.ByteSize() > MOST_HEAD_BYTES or len(header_map.headers) > MOST_FIELDS:
        return True
    if not texts:
        return False
    if len(texts) > MOST_FIELDS:
        return True
    return sum(len(name) + len(value) for name, value in texts.items()) > MOST_HEAD_BYTES


def pairs_of(header_map: HeaderMap) -> Pairs:
    """Return the fields of a map, each line of a repeated field by itself."""
    return [
        (each.key.lower().encode(), each.raw_value or each.value.encode())
        for each in header_map.headers
    ]


def split(pairs: Iterable[tuple[bytes, bytes]]) -> tuple[dict[bytes, bytes], Pairs]:
    """Take HTTP/2's own fields (`:path`) from the others; its authority is the field `host`."""
    own: dict[bytes, bytes] = {}
    fields: Pairs = []
    for name, value in pairs:
        if name.startswith(b":"):
            own[name] = value
        else:
            fields.append((name, value))
    if b":authority" in own and not any(name == b"host" for name, _ in fields):
        fields.append((b"host", own[b":authority"]))
    return own, fields


def forged_names(fields: Headers, *, but: Iterable[bytes] = ()) -> list[str]:
    """Return each name in `fields` that only we may set, in the spelling that came.

    X-Request-ID itself is always set; `x_request_id` would be another one to many products.
    """
    kept = frozenset((_REQUEST_ID, *but))
    return sorted({name.decode() for name, _ in fields if _is_ours(name) and name not in kept})


def _is_ours(name: bytes) -> bool:
    return is_ours(name) or name.translate(FOLDED) == _REQUEST_ID


def overwriting(name: bytes, value: bytes, *, raw: bool) -> Any:  # noqa: ANN401 - Envoy's message
    """Set a field in place of any that is there. `raw`: where Envoy reads the value's bytes."""
    header = HeaderValue(key=name.decode().lower())
    if raw:
        header.raw_value = value
    else:
        header.value = value.decode("ascii")
    return HeaderValueOption(
        header=header, append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
    )
