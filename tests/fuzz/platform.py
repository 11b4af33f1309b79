"""What the platform answers, and what a caller is answered because of it."""

from __future__ import annotations

import json
from typing import Final

from sidecar.answers.refusals import refuse
from sidecar.domain.choices import ErrorFormat
from sidecar.domain.model import Charge, Decision, Reason, Verdict
from sidecar.domain.quota import Failed, Granted, Quota, Refused
from sidecar.platform.answers import read_answer

_CHARGE: Final = Charge("org_acme", "acme-notes", "ai_calls", 1, "key", private=True)
_DENIALS: Final = [reason for reason in Reason if reason.verdict is Verdict.DENY]
_FORMATS: Final = list(ErrorFormat)
_NOW: Final = 1_760_000_000.0


def consume_answer(data: bytes) -> None:
    """Every answer has an outcome. First line: status, a space, content-type; then the body."""
    line, _, body = data.partition(b"\n")
    status, _, kind = line.partition(b" ")
    number = int(status) if status.isdigit() and len(status) == 3 else 200
    outcome = read_answer(number, kind.decode("latin-1"), body, _CHARGE)
    match outcome:
        case Granted(quota) | Refused(quota):
            assert number == 200
            assert quota.resource == "ai_calls"
            assert quota.limit >= -1
            assert quota.used >= 0
        case Failed(failed):
            assert failed


def refusal(data: bytes) -> None:
    """Whatever a call has in it, its refusal has clean fields and a body that is JSON."""
    shape, text = data[:3].ljust(3, b"\0"), data[3:].decode("utf-8", "surrogateescape")
    request_id, _, detail = text.partition("\n")
    quota = Quota(request_id or "ai_calls", shape[2] - 1, 3, shape[2] - 4, "month", _NOW + shape[0])
    denial = Decision(
        _DENIALS[shape[0] % len(_DENIALS)],
        "route",
        request_id,
        None,
        status=400 + shape[1] % 200,
        detail=detail,
        charge=_CHARGE,
        quota=quota if shape[1] % 2 else None,
        retry_after=float(shape[2]) if shape[2] % 2 else None,
        errors=_FORMATS[shape[1] % len(_FORMATS)],
    )
    answer = refuse(denial, _NOW)
    json.loads(answer.body)
    for name, value in answer.headers:
        assert not set(name + value) & {0, 10, 13}
