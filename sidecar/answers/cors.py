"""Fields with which a browser shows an answer of our own to the page that asked. Pure.

Without them a page's fetch fails as if the network had: no status, no Retry-After, no reason.
An answer of the product is the product's own, and never touched. Source: the Fetch standard.
"""

from __future__ import annotations

from typing import Final

from sidecar.answers.writer import Fields, OwnAnswer
from sidecar.domain.cors import Cors
from sidecar.domain.model import Headers

_NAMES: Final = (
    b"Retry-After, RateLimit, RateLimit-Policy, X-Quota-Decision, X-Request-ID, request-id, "
    b"x-should-retry"
)
"""Each by name: a browser takes `*` literally where the request had credentials."""

_EXPOSED: Final = (b"Access-Control-Expose-Headers", _NAMES)
_CREDENTIALS: Final = (b"Access-Control-Allow-Credentials", b"true")
_VARY: Final = (b"Vary", b"Origin")


def show_to_page(answer: OwnAnswer, cors: Cors | None, headers: Headers) -> OwnAnswer:
    """Add what the page needs to read `answer`; `headers` are those of its request."""
    if cors is None:
        return answer
    return OwnAnswer(answer.status, (*answer.headers, *_fields(cors, headers)), answer.body)


def _fields(cors: Cors, headers: Headers) -> Fields:
    origins = [value for name, value in headers if name == b"origin"]
    if len(origins) != 1 or not cors.allows(origins[0]):
        return (_VARY,)
    allowed = (b"Access-Control-Allow-Origin", origins[0])
    if cors.credentials:
        return (allowed, _CREDENTIALS, _EXPOSED, _VARY)
    return (allowed, _EXPOSED, _VARY)
