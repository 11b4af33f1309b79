"""The one writer of answers that the sidecar makes itself, in each error format. Pure.

Sources: interface.md, "What a caller sees"; RFC 9457 (problem details), RFC 9110 10.2.3
(Retry-After); the error objects of the two AI APIs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, assert_never

import orjson

from sidecar.answers.words import (
    Code,
    anthropic_type,
    detail_of,
    openai_code,
    openai_type,
    problem_type,
    title_of,
)
from sidecar.domain.choices import ErrorFormat
from sidecar.http1.phrases import phrase_of
from sidecar.http1.shared_lines import date_line

Fields = tuple[tuple[bytes, bytes], ...]
"""Header fields to send, names in the case in which documentation writes them."""

MAX_INTEGER: Final = 999_999_999_999_999
"""The largest integer of a structured field (RFC 9651, 3.3.1)."""

JSON: Final = (b"Content-Type", b"application/json")
NO_STORE: Final = (b"Cache-Control", b"no-store")

_PROBLEM: Final = (b"Content-Type", b"application/problem+json")
_NO_FACTS: Final[Mapping[str, object]] = {}


@dataclass(frozen=True, slots=True)
class OwnAnswer:
    """An answer in place of the product's.

    Framing (Content-Length, closing, no body for HEAD) is left to the frontend that sends it.
    """

    status: int
    headers: Fields
    body: bytes


def write_error(
    status: int,
    code: Code,
    detail: str,
    *,
    request_id: str,
    errors: ErrorFormat,
    facts: Mapping[str, object] = _NO_FACTS,
    retry_after: float | None = None,
    fields: Fields = (),
) -> OwnAnswer:
    """Write an error in the format `errors`; an empty `detail` is that of the code.

    `facts` are further members of the body, `fields` further header fields.
    """
    detail = detail or detail_of(code)
    written_id = field_text(request_id)
    media = JSON
    id_fields: Fields = ((b"X-Request-ID", written_id),)
    body: dict[str, object]
    match errors:
        case ErrorFormat.PROBLEM:
            media = _PROBLEM
            body = {
                "type": problem_type(code),
                "title": title_of(code),
                "status": status,
                "detail": detail,
                "instance": request_id,
                **facts,
            }
        case ErrorFormat.OPENAI:
            error = {
                "message": detail,
                "type": openai_type(code, status),
                "param": None,
                "code": openai_code(code),
                "request_id": request_id,
                **facts,
            }
            body = {"error": error}
        case ErrorFormat.ANTHROPIC:
            id_fields = (*id_fields, (b"request-id", written_id))  # where that SDK looks for it
            error = {
                "type": anthropic_type(code, status),
                "message": detail,
                "details": {"error_code": code.value},
                **facts,
            }
            body = {"type": "error", "error": error, "request_id": request_id}
        case _:
            assert_never(errors)
    if retry_after is not None:
        id_fields = (*id_fields, (b"Retry-After", b"%d" % _whole_seconds(retry_after)))
    return OwnAnswer(status, (media, NO_STORE, *id_fields, *fields), _json(body))


def serialise(answer: OwnAnswer, *, now: float, connection: bytes, bodiless: bool) -> bytes:
    """Write head and body as bytes; `now` in Unix seconds, `bodiless` for HEAD.

    `connection` are the lines that say whether the connection is kept (http1/shared_lines.py).
    """
    status = answer.status
    lines = [b"HTTP/1.1 %d %b\r\n%b" % (status, phrase_of(status), date_line(int(now)))]
    lines += [b"%b: %b\r\n" % field for field in answer.headers]
    lines.append(b"%bContent-Length: %d\r\n\r\n" % (connection, len(answer.body)))
    if not bodiless:
        lines.append(answer.body)
    return b"".join(lines)


def _whole_seconds(seconds: float) -> int:
    """Round up, so that a client that waits that long does not come too early; 1 at least."""
    return min(max(math.ceil(seconds), 1), MAX_INTEGER) if math.isfinite(seconds) else 1


def field_text(text: str) -> bytes:
    """Write text as a field value; what could end the field early becomes `?`."""
    if text.isascii() and text.isprintable():
        return text.encode("ascii")
    return "".join(char if " " <= char <= "~" else "?" for char in text).encode("ascii")


def _json(document: dict[str, object]) -> bytes:
    try:
        return orjson.dumps(document)
    except TypeError:  # a lone surrogate, from a path or an ID that was not UTF-8
        return json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
