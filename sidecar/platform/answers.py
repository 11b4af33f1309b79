"""What an answer to consume means: every answer has its outcome (conformance 35). Pure.

`allowed: true, limit: -1` is a grant here. Whether it is the platform's store being down in
disguise takes knowledge of the org, which the engine has.
"""

from __future__ import annotations

from typing import Final

import orjson

from sidecar.domain.model import Charge
from sidecar.domain.quota import Failed, FailureKind, Granted, Outcome, Refused, check_quota

_OK: Final = 200
_JSON: Final = ("application/json", "")
_SHOWN: Final = 60
"""Characters of a malformed value that the log shows."""

_SERVER_ERRORS: Final = range(500, 600)
_FAILURES: Final = {
    401: Failed(FailureKind.CREDENTIAL_REFUSED),
    403: Failed(FailureKind.FORBIDDEN),
    404: Failed(FailureKind.NOT_FOUND),
    409: Failed(FailureKind.CONFLICT),
    422: Failed(FailureKind.UNPROCESSABLE),
    429: Failed(FailureKind.RATE_LIMITED),
}
_SERVER_ERROR: Final = Failed(FailureKind.SERVER_ERROR)
_UNEXPECTED_STATUS: Final = Failed(FailureKind.UNEXPECTED_STATUS)


def read_answer(  # noqa: C901 - what an answer can be, in order
    status: int, content_type: str, body: bytes, charge: Charge
) -> Outcome:
    """Read one whole answer to the consume of `charge`; `content_type` is empty when it had none.

    Only a 200 whose JSON is complete, possible and about the charged resource is an answer to
    trust; an incomplete body, HTML or a wrong type is MALFORMED.
    """
    if status != _OK:
        if status in _SERVER_ERRORS:
            return _SERVER_ERROR
        return _FAILURES.get(status, _UNEXPECTED_STATUS)
    if content_type not in _JSON and not _is_json(content_type):
        return malformed("content-type", content_type[:_SHOWN])
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return malformed("body", "it is not JSON")
    if type(answer) is not dict:
        return malformed("body", "it is no JSON object")
    if answer.get("resource") != charge.resource:
        return _wrong(answer, "resource")
    allowed = answer.get("allowed")
    quota = check_quota(answer, charge.resource, refused=allowed is False)
    if isinstance(quota, str):
        return _wrong(answer, quota)
    if allowed is True:
        return Granted(quota)
    if allowed is not False:
        return _wrong(answer, "allowed")
    if quota.unlimited:  # over a limit that does not exist: either half may be the wrong one
        return malformed("limit", "the call is refused, and the quota is unlimited")
    return Refused(quota)


def malformed(cause: str, detail: str) -> Failed:
    """Return the outcome of an answer that cannot be read; `cause` is the field."""
    return Failed(FailureKind.MALFORMED, cause, detail)


def _wrong(answer: dict[str, object], name: str) -> Failed:
    value = repr(answer[name])[:_SHOWN] if name in answer else "missing"
    return malformed(name, f"{name} is {value}")


def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json"
