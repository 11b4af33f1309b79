from __future__ import annotations

import dataclasses
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import anthropic
import openai
import orjson
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from sidecar.answers.refusals import quota_headers, refuse
from sidecar.answers.writer import OwnAnswer
from sidecar.domain.choices import ErrorFormat
from sidecar.domain.credentials import IdentityFailure
from sidecar.domain.model import Charge, Decision, Reason, Verdict
from sidecar.domain.quota import Quota
from tests.unit.answers.shown import as_text
from tests.unit.golden.compare import assert_golden

NOW = 1_760_000_000.0
MONTH_END = 1_761_955_200.0  # 2025-11-01T00:00:00Z
SPENT = Quota("ai_calls", limit=25, used=25, remaining=0, period="month", reset_at=MONTH_END)
LEFT = dataclasses.replace(SPENT, used=12, remaining=13)
CHARGE = Charge("org_acme", "acme-notes", "ai_calls", 1, "key", private=True)


def denied(reason: Reason, status: int, **more: object) -> Decision:
    """A denial, with whatever else it knows."""
    decision = Decision(reason, "chat", "req-7f3a", None, status)
    return dataclasses.replace(decision, **more)  # type: ignore[arg-type]


def allowed(reason: Reason, quota: Quota | None) -> Decision:
    """An allowed call of CHARGE."""
    return Decision(reason, "chat", "req-7f3a", None, charge=CHARGE, quota=quota)


DENIALS = {
    "over_quota": denied(
        Reason.OVER_QUOTA, 429, charge=CHARGE, quota=SPENT, retry_after=MONTH_END - NOW
    ),
    "over_quota-deny_status-402": denied(
        Reason.OVER_QUOTA, 402, charge=CHARGE, quota=SPENT, retry_after=0.2
    ),
    "over_quota-last_known": denied(Reason.OVER_QUOTA, 429, charge=CHARGE, retry_after=60.0),
    "blocked": denied(Reason.BLOCKED, 403),
    "unmatched": denied(Reason.UNMATCHED, 403),
    "unauthenticated-missing": denied(
        Reason.UNAUTHENTICATED, 401, identity_failure=IdentityFailure.MISSING
    ),
    "unauthenticated-expired": denied(
        Reason.UNAUTHENTICATED,
        401,
        identity_failure=IdentityFailure.EXPIRED,
        detail="The access token has expired: sign in again.",
    ),
    "identity_unavailable": denied(Reason.IDENTITY_UNAVAILABLE, 503, retry_after=5.0),
    "not_entitled": denied(Reason.NOT_ENTITLED, 403),
    "replayed": denied(Reason.REPLAYED, 409, charge=CHARGE),
    "fail_closed": denied(Reason.FAIL_CLOSED, 503, charge=CHARGE, retry_after=2.0),
    "fail_open_spent": denied(Reason.FAIL_OPEN_SPENT, 503, charge=CHARGE, retry_after=5.0),
    "bad_request-400": denied(Reason.BAD_REQUEST, 400, detail="The path has an encoded slash."),
    "bad_request-413": denied(
        Reason.BAD_REQUEST, 413, detail="The body is longer than 1048576 bytes."
    ),
    "bad_request-415": denied(
        Reason.BAD_REQUEST, 415, detail="Its content coding is not read here."
    ),
    "bad_request-422": denied(Reason.BAD_REQUEST, 422, detail="/n is -1: send 1 to 16."),
    "overloaded": denied(Reason.OVERLOADED, 503, retry_after=1.0),
    "draining": denied(Reason.DRAINING, 503, retry_after=1.0),
}


def fields(refusal: OwnAnswer) -> dict[str, str]:
    """Return the header fields by lower-case name."""
    return {name.decode().lower(): value.decode() for name, value in refusal.headers}


@pytest.mark.parametrize("errors", ErrorFormat)
@pytest.mark.parametrize("name", DENIALS)
def test_a_refusal_reads_as_its_golden_file_says(name: str, errors: ErrorFormat) -> None:
    """Status line, fields and body of each reason in each format are API."""
    decision = dataclasses.replace(DENIALS[name], errors=errors)
    assert_golden(f"refusals/{name}.{errors.value}.txt", as_text(refuse(decision, NOW)))


def test_every_denying_reason_has_a_golden_file() -> None:
    """A reason without one could change unseen."""
    denying = {reason for reason in Reason if reason.verdict is Verdict.DENY}
    assert {decision.reason for decision in DENIALS.values()} == denying


@pytest.mark.parametrize("reason", [r for r in Reason if r.verdict is Verdict.ALLOW])
def test_an_allowing_reason_is_never_refused(reason: Reason) -> None:
    """Refusing what was allowed is a fault, not an answer."""
    with pytest.raises(ValueError, match="is no denial"):
        refuse(allowed(reason, None), NOW)


def test_a_denial_without_a_status_is_a_fault() -> None:
    """A status of 0 would reach the caller as a broken answer."""
    with pytest.raises(ValueError, match="status 0"):
        refuse(denied(Reason.BLOCKED, 0), NOW)


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.0, "1"), (-5.0, "1"), (0.01, "1"), (1.01, "2"), (604_800.0, "604800")]
)
def test_retry_after_is_whole_seconds_rounded_up(seconds: float, told: str) -> None:
    """Who waits as told does not come too early, and never retries at once."""
    refusal = refuse(denied(Reason.OVERLOADED, 503, retry_after=seconds), NOW)
    assert fields(refusal)["retry-after"] == told


@pytest.mark.parametrize("name", DENIALS)
def test_only_final_denials_tell_sdks_not_to_retry(name: str) -> None:
    """The SDKs retry 409 and 429 by themselves; for these two that is wasted."""
    told = fields(refuse(DENIALS[name], NOW)).get("x-should-retry")
    final = DENIALS[name].reason in {Reason.OVER_QUOTA, Reason.REPLAYED}
    assert told == ("false" if final else None)


def test_a_denial_that_ends_with_a_call_under_way_may_be_retried() -> None:
    """What others may cost is free as soon as they end."""
    refusal = refuse(denied(Reason.OVER_QUOTA, 429, retry_after=1.0, passing=True), NOW)
    assert "x-should-retry" not in fields(refusal)
    assert fields(refusal)["retry-after"] == "1"


@pytest.mark.parametrize(
    ("failure", "challenge"),
    [
        (None, "Bearer"),
        (IdentityFailure.MISSING, "Bearer"),
        (IdentityFailure.BAD_SIGNATURE, 'Bearer error="invalid_token"'),
        (IdentityFailure.AMBIGUOUS, 'Bearer error="invalid_token"'),
    ],
)
def test_a_challenge_names_an_error_only_where_a_token_was_judged(
    failure: IdentityFailure | None, challenge: str
) -> None:
    """RFC 6750, 3.1: no error code where no credential came."""
    refusal = refuse(denied(Reason.UNAUTHENTICATED, 401, identity_failure=failure), NOW)
    assert fields(refusal)["www-authenticate"] == challenge


def test_an_allowed_answer_carries_the_quota() -> None:
    """The example of the interface: policy with window, remaining with time left."""
    quota = dataclasses.replace(LEFT, reset_at=NOW + 604_799.5)
    assert quota_headers(allowed(Reason.WITHIN_QUOTA, quota), NOW) == (
        (b"RateLimit-Policy", b'"ai_calls";q=25;w=2592000'),
        (b"RateLimit", b'"ai_calls";r=13;t=604800'),
    )


@pytest.mark.parametrize(
    ("period", "window"), [("hour", b";w=3600"), ("day", b";w=86400"), ("fortnight", b"")]
)
def test_the_window_follows_the_period(period: str, window: bytes) -> None:
    """A period that is not known gives no window, rather than a wrong one."""
    quota = dataclasses.replace(LEFT, period=period)
    policy = quota_headers(allowed(Reason.WITHIN_QUOTA, quota), NOW)[0]
    assert policy == (b"RateLimit-Policy", b'"ai_calls";q=25' + window)


def test_a_quota_of_bytes_says_so() -> None:
    """Without a unit, a client takes the number for requests."""
    quota = dataclasses.replace(LEFT, resource="storage_bytes")
    policy, left = quota_headers(allowed(Reason.WITHIN_QUOTA, quota), NOW)
    assert policy[1] == b'"storage_bytes";q=25;qu="content-bytes";w=2592000'
    assert left[1].startswith(b'"storage_bytes";r=13;t=')


@pytest.mark.parametrize("name", DENIALS)
def test_a_problem_over_quota_names_the_policy_that_was_violated(name: str) -> None:
    """By its name in RateLimit-Policy; other formats, and other reasons, have none."""
    refusal = refuse(DENIALS[name], NOW)
    violated = orjson.loads(refusal.body).get("violated-policies")
    over = DENIALS[name].reason is Reason.OVER_QUOTA
    assert violated == (["ai_calls"] if over else None)
    openai = dataclasses.replace(DENIALS[name], errors=ErrorFormat.OPENAI)
    assert "violated-policies" not in orjson.loads(refuse(openai, NOW).body)["error"]


def test_a_period_that_has_ended_has_no_time_left() -> None:
    """`t` is never negative: structured fields allow it, clients do not expect it."""
    quota = dataclasses.replace(LEFT, reset_at=NOW - 10)
    assert quota_headers(allowed(Reason.WITHIN_QUOTA, quota), NOW)[1][1].endswith(b";t=0")


@pytest.mark.parametrize("quota", [None, Quota("ai_calls", -1, 3, -1, "month", MONTH_END)])
def test_without_a_limit_there_is_nothing_to_tell(quota: Quota | None) -> None:
    """Unlimited, or an answer that is not trusted: no RateLimit fields."""
    assert quota_headers(allowed(Reason.UNLIMITED, quota), NOW) == ()


@pytest.mark.parametrize("reason", [r for r in Reason if r.verdict is Verdict.ALLOW])
def test_marked_decisions_say_so(reason: Reason) -> None:
    """Exactly the marked reasons carry X-Quota-Decision, with the reason's own word."""
    told = dict(quota_headers(allowed(reason, None), NOW)).get(b"X-Quota-Decision")
    assert told == (reason.value.encode() if reason.marked else None)


LAST_INSTANT = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
_SF_STRING = re.compile(rb'"(?:[ !#-\[\]-~]|\\["\\])*"')


@given(
    st.text(),
    st.integers(-1, 2**70),
    st.integers(-5, 2**70),
    st.floats(-LAST_INSTANT, LAST_INSTANT),
)
def test_quota_fields_are_structured_fields_whatever_the_platform_says(
    resource: str, limit: int, remaining: int, reset_at: float
) -> None:
    """RFC 9651: a quoted string, integers of at most 15 digits, no control byte."""
    quota = Quota(resource, limit, 0, remaining, "month", reset_at)
    for _, value in quota_headers(allowed(Reason.WITHIN_QUOTA, quota), NOW):
        name, _, rest = value.rpartition(b'"')
        assert _SF_STRING.fullmatch(name + b'"')
        assert re.fullmatch(rb"(;[qwrt]=\d{1,15})+", rest)


@given(st.text(), st.text())
def test_no_text_breaks_a_refusal(request_id: str, detail: str) -> None:
    """Lone surrogates and line breaks, of a path or an ID, end neither field nor JSON."""
    decision = Decision(Reason.BLOCKED, "r", request_id, None, 403, detail)
    refusal = refuse(decision, NOW)
    orjson.loads(refusal.body)
    assert all(re.fullmatch(rb"[ -~]*", value) for _, value in refusal.headers)


def test_a_lone_surrogate_is_written_as_a_question_mark() -> None:
    """A path that was not UTF-8 may be quoted in a detail."""
    refusal = refuse(denied(Reason.BAD_REQUEST, 400, detail="bad \udc80 byte"), NOW)
    assert orjson.loads(refusal.body)["detail"] == "bad ? byte"


def test_a_resource_that_is_no_text_is_written_so_too() -> None:
    """Also where it stands in a list: the policy that is violated."""
    quota = dataclasses.replace(SPENT, resource="\udc80")
    refusal = refuse(denied(Reason.OVER_QUOTA, 429, quota=quota), NOW)
    assert orjson.loads(refusal.body)["violated-policies"] == ["?"]


def test_a_reset_beyond_the_calendar_is_left_out() -> None:
    """A number no date can hold is not worth a fault."""
    quota = dataclasses.replace(SPENT, reset_at=1e20)
    refusal = refuse(denied(Reason.OVER_QUOTA, 429, quota=quota), NOW)
    assert "reset_at" not in orjson.loads(refusal.body)


class Refuser:
    """A product's API that refuses every call, and counts them."""

    def __init__(self) -> None:
        self.decision = DENIALS["over_quota"]
        self.calls = 0

    async def answer(self, _request: web.Request) -> web.Response:
        self.calls += 1
        refusal = refuse(self.decision, NOW)
        headers = {name.decode(): value.decode() for name, value in refusal.headers}
        return web.Response(status=refusal.status, headers=headers, body=refusal.body)


@pytest.fixture
async def refuser() -> AsyncIterator[tuple[Refuser, str]]:
    """A running Refuser and its URL."""
    state = Refuser()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", state.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield state, f"http://{host}:{port}"
    await runner.cleanup()


async def raised_by_openai(url: str, retries: int) -> openai.APIStatusError:
    """Return what that SDK raises for a chat completion."""
    client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=retries)
    async with client:
        with pytest.raises(openai.APIStatusError) as raised:
            await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "hello"}]
            )
    return raised.value


async def raised_by_anthropic(url: str, retries: int) -> anthropic.APIStatusError:
    """Return what that SDK raises for a message."""
    client = anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=retries)
    async with client:
        with pytest.raises(anthropic.APIStatusError) as raised:
            await client.messages.create(
                model="m", max_tokens=1, messages=[{"role": "user", "content": "hello"}]
            )
    return raised.value


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("over_quota", openai.RateLimitError),
        ("unauthenticated-expired", openai.AuthenticationError),
        ("not_entitled", openai.PermissionDeniedError),
        ("replayed", openai.ConflictError),
        ("bad_request-400", openai.BadRequestError),
        ("bad_request-422", openai.UnprocessableEntityError),
        ("fail_closed", openai.InternalServerError),
    ],
)
async def test_the_openai_sdk_raises_its_own_error(
    refuser: tuple[Refuser, str], name: str, error: type[openai.APIStatusError]
) -> None:
    """A caller's `except` clauses keep working, and its error object has our facts."""
    state, url = refuser
    state.decision = dataclasses.replace(DENIALS[name], errors=ErrorFormat.OPENAI)
    raised = await raised_by_openai(url, 0)
    assert type(raised) is error
    assert isinstance(raised.body, dict)
    assert raised.body["reason"] == state.decision.reason.value


async def test_the_openai_sdk_sees_a_spent_quota_at_once(refuser: tuple[Refuser, str]) -> None:
    """Its own code for it, the request ID, and no retry of a 429 that stays."""
    state, url = refuser
    state.decision = dataclasses.replace(DENIALS["over_quota"], errors=ErrorFormat.OPENAI)
    raised = await raised_by_openai(url, 2)
    assert (raised.code, raised.request_id, state.calls) == ("insufficient_quota", "req-7f3a", 1)


@pytest.mark.parametrize(
    ("name", "error", "kind"),
    [
        ("over_quota", anthropic.RateLimitError, "rate_limit_error"),
        ("unauthenticated-expired", anthropic.AuthenticationError, "authentication_error"),
        ("not_entitled", anthropic.PermissionDeniedError, "permission_error"),
        ("bad_request-400", anthropic.BadRequestError, "invalid_request_error"),
        ("bad_request-422", anthropic.UnprocessableEntityError, "invalid_request_error"),
        ("fail_closed", anthropic.InternalServerError, "api_error"),
        ("overloaded", anthropic.InternalServerError, "overloaded_error"),
    ],
)
async def test_the_anthropic_sdk_raises_its_own_error(
    refuser: tuple[Refuser, str], name: str, error: type[anthropic.APIStatusError], kind: str
) -> None:
    """A caller's `except` clauses keep working, and its error object has our facts."""
    state, url = refuser
    state.decision = dataclasses.replace(DENIALS[name], errors=ErrorFormat.ANTHROPIC)
    raised = await raised_by_anthropic(url, 0)
    assert isinstance(raised, error)
    assert isinstance(raised.body, dict)
    found = raised.body["error"]
    assert (found["type"], found["reason"]) == (kind, state.decision.reason.value)


async def test_the_anthropic_sdk_sees_a_spent_quota_at_once(refuser: tuple[Refuser, str]) -> None:
    """The request ID where it looks for it, and no retry of a 429 that stays."""
    state, url = refuser
    state.decision = dataclasses.replace(DENIALS["over_quota"], errors=ErrorFormat.ANTHROPIC)
    raised = await raised_by_anthropic(url, 2)
    assert (raised.request_id, state.calls) == ("req-7f3a", 1)
