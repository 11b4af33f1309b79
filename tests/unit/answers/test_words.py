from __future__ import annotations

import re

import pytest

from sidecar.answers.words import (
    Code,
    FailureCode,
    anthropic_type,
    detail_of,
    openai_code,
    openai_type,
    problem_type,
    title_of,
)
from sidecar.domain.model import Reason, Verdict

DENYING = [reason for reason in Reason if reason.verdict is Verdict.DENY]
CODES: list[Code] = [*DENYING, *FailureCode]


@pytest.mark.parametrize("code", CODES)
def test_a_problem_type_is_a_stable_uri_of_the_reason(code: Code) -> None:
    """Clients match on it (RFC 9457, 3.1.1)."""
    assert problem_type(code) == f"urn:bizbasics:sidecar:problem:{code.value}"


@pytest.mark.parametrize("code", CODES)
def test_a_detail_is_a_sentence(code: Code) -> None:
    """It is shown to people: a capital, a full stop, one line."""
    assert re.fullmatch(r"[A-Z][^\n]+\.", detail_of(code))


@pytest.mark.parametrize("code", CODES)
def test_a_title_is_a_few_words(code: Code) -> None:
    """It is the same for every problem of the reason, and no sentence."""
    assert re.fullmatch(r"[A-Z][^\n.]{3,30}", title_of(code))


def test_only_a_spent_quota_borrows_the_other_api_s_code() -> None:
    """Client code already looks for that one word; the rest are our reasons."""
    codes = {openai_code(code) for code in CODES}
    assert codes == {code.value for code in CODES} - {"over_quota"} | {"insufficient_quota"}


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "invalid_request_error"), (401, "authentication_error"), (403, "permission_error"),
     (409, "conflict_error"), (413, "invalid_request_error"), (422, "invalid_request_error"),
     (503, "server_error")],
)  # fmt: skip
def test_openai_types_follow_the_status(status: int, kind: str) -> None:
    """The kinds that API documents for its own errors."""
    assert openai_type(Reason.BAD_REQUEST, status) == kind


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [(Reason.BAD_REQUEST, 413, "request_too_large"),
     (Reason.BAD_REQUEST, 422, "invalid_request_error"),
     (Reason.OVER_QUOTA, 402, "billing_error"),
     (Reason.OVER_QUOTA, 403, "permission_error"),
     (Reason.OVER_QUOTA, 429, "rate_limit_error"),
     (Reason.OVER_QUOTA, 503, "rate_limit_error"),
     (Reason.DRAINING, 503, "overloaded_error"),
     (Reason.FAIL_CLOSED, 503, "api_error"),
     (FailureCode.UPSTREAM_BUSY, 503, "overloaded_error"),
     (FailureCode.UPSTREAM_FAILED, 502, "api_error"),
     (FailureCode.UPSTREAM_TIMEOUT, 504, "timeout_error")],
)  # fmt: skip
def test_anthropic_types_follow_the_documented_list(code: Code, status: int, kind: str) -> None:
    """Error types of that API, by status, whatever `deny_status` a policy picks."""
    assert anthropic_type(code, status) == kind
