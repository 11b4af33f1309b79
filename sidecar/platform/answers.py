"""What an answer to consume means: every answer has its outcome (conformance 35). Pure.

`allowed: true, limit: -1` is a grant here. Whether it is the platform's store being down in
disguise takes knowledge of the org, which the engine has.
"""

from __future__ import annotations

from typing import Final

import orjson

from sidecar.domain.model import Charge, Failed, FailureKind, Granted, Outcome, Refused
from sidecar.domain.quota import read_quota

_OK: Final = 200
_JSON: Final = ("application/json", "")
_SERVER_ERRORS: Final = range(500, 600)
_FAILURES: Final = {
    401: Failed(FailureKind.CREDENTIAL_REFUSED),
    403: Failed(FailureKind.FORBIDDEN),
    404: Failed(FailureKind.NOT_FOUND),
    409: Failed(FailureKind.CONFLICT),
    422: Failed(FailureKind.UNPROCESSABLE),
    429: Failed(FailureKind.RATE_LIMITED),
}
_MALFORMED: Final = Failed(FailureKind.MALFORMED)
_SERVER_ERROR: Final = Failed(FailureKind.SERVER_ERROR)
_UNEXPECTED_STATUS: Final = Failed(FailureKind.UNEXPECTED_STATUS)


def read_answer(status: int, content_type: str, body: bytes, charge: Charge) -> Outcome:
    """Read one whole answer to the consume of `charge`; `content_type` is empty when it had none.

    Only a 200 whose JSON is complete, possible and about the charged resource is an answer to
    trust; an incomplete body, HTML or a wrong type is MALFORMED.
    """
    if status != _OK:
        if status in _SERVER_ERRORS:
            return _SERVER_ERROR
        return _FAILURES.get(status, _UNEXPECTED_STATUS)
    if content_type not in _JSON and not _is_json(content_type):
        return _MALFORMED
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _MALFORMED
    if type(answer) is not dict or answer.get("resource") != charge.resource:
        return _MALFORMED
    quota = read_quota(answer, charge.resource)
    if quota is None:
        return _MALFORMED
    allowed = answer.get("allowed")
    if allowed is True:
        return Granted(quota)
    # Over a limit that does not exist: one half of the answer is wrong, and who knows which.
    if allowed is False and not quota.unlimited:
        return Refused(quota)
    return _MALFORMED


def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json"
