"""Asks an OpenAI stream for its usage (`usage_chunk` hides the chunk that comes of it).

The request keeps every byte that it has: `stream_options.include_usage` is inserted. What could be
understood in two ways stays as it is; its usage is estimated then.
"""

from __future__ import annotations

import re
from typing import Final

from sidecar.domain.model import Headers
from sidecar.usage.json_document import document_of

LONGEST: Final = 64 * 1024
"""Bytes of a request that is parsed here: a longer one would hold the loop."""

_OPTION: Final = b'"stream_options":{"include_usage":true},'
_KEY: Final = b'"stream_options"'
_VALUE: Final = re.compile(rb'"stream_options"[ \t\r\n]*:[ \t\r\n]*(null|\{[ \t\r\n]*(\})?)')
_REFUSED: Final = re.compile(rb'"include_usage"[ \t\r\n]*:[ \t\r\n]*(false|null)')
_ENDS: Final = (b"/chat/completions", b"/completions")
_SEALED: Final = frozenset(
    {
        b"content-digest", b"content-encoding", b"content-md5", b"digest", b"repr-digest",
        b"signature", b"signature-input", b"x-amz-content-sha256", b"x-hub-signature-256",
        b"x-signature",
    }
)  # fmt: skip
"""Fields that hold for these bytes of the body and no others."""


def may_be_asked(path: bytes, headers: Headers) -> bool:
    """Say whether a request's head lets its body be changed. `headers`: names in lower case."""
    path = path.partition(b"?")[0].rstrip(b"/")
    return path.endswith(_ENDS) and all(name not in _SEALED for name, _ in headers)


def with_usage(body: bytes, *, unasked: bool = False) -> bytes | None:
    """Return a streaming request that asks for its usage; None where it stays as it is.

    None also for one that asks already: its client wants the chunk. `unasked`: it is known to be an
    object that asks for a stream and has no options of it, however long it is.
    """
    if unasked:
        return _inserted(body)
    if len(body) > LONGEST or b'"stream"' not in body:
        return None
    try:
        document = document_of(body)
    except ValueError:
        return None
    if not isinstance(document, dict) or document.get("stream") is not True:
        return None
    if "stream_options" not in document:
        if body.count(b'"stream"') > 1 or _KEY in body:
            return None
        return _inserted(body)
    options = document["stream_options"]
    if options is not None and not isinstance(options, dict):
        return None
    if options and options.get("include_usage") is True:
        return None
    changed = _changed(body)
    if changed is None:
        return None
    document["stream_options"] = (options or {}) | {"include_usage": True}
    return changed if document_of(changed) == document else None


def _inserted(body: bytes) -> bytes:
    start = body.index(b"{") + 1
    return b"".join((body[:start], _OPTION, memoryview(body)[start:]))


def _changed(body: bytes) -> bytes | None:
    """Write the option into the options that are there, whatever place of the body they are in."""
    found = _VALUE.search(body)
    if found is None or body.count(_KEY) > 1:
        return None
    refused = _REFUSED.search(body, found.start())
    if refused is not None:
        return body[: refused.start(1)] + b"true" + body[refused.end(1) :]
    if found[1] == b"null":
        return body[: found.start(1)] + b'{"include_usage":true}' + body[found.end(1) :]
    comma = b"" if found[2] else b","
    start = found.start(1) + 1
    return body[:start] + b'"include_usage":true' + comma + body[start:]
