"""What Envoy does with a call, as our answer says."""

from __future__ import annotations

from google.protobuf.json_format import MessageToDict

from sidecar.answers.writer import OwnAnswer
from sidecar.domain.choices import Refund
from sidecar.domain.model import Call, Charge, Decision, Permit, Reason, RequestIdOrigin
from sidecar.frontends.door import Visit
from sidecar.frontends.envoy.check_answers import allowing, metadata_of, refusing
from tests.fakes.doors import NoBody, OneDoor
from tests.fakes.engines import ACME, AllowingEngine
from tests.fakes.rpcs import fields_of

CALL = Call("POST", "/chat", "", [], "id", RequestIdOrigin.GENERATED)
CHARGE = Charge("org_acme", "notes", "ai_calls", 5, "key", private=True)
PERMIT = Permit("id", "chat", CHARGE, paid=True, refund=Refund.NEVER, claim=None)


async def admitted() -> Visit:
    """Visit a door that is open."""
    return await OneDoor(AllowingEngine()).one.enter(CALL, NoBody())


async def test_an_allowed_call_carries_the_identity() -> None:
    """In place of a forged one; the client gets the quota."""
    came = [(b"x-bb-plan", b"evil"), (b"x_bb_org_id", b"evil"), (b"a", b"1")]
    ok = allowing(await admitted(), came).ok_response
    assert fields_of(ok.headers) == {
        "x-bb-org-id": "org_acme", "x-bb-user-id": "user_1", "x-bb-plan": "pro",
        "x-bb-role": "org_owner", "x-request-id": "id",
    }  # fmt: skip
    assert list(ok.headers_to_remove) == ["x_bb_org_id"]
    shown = fields_of(ok.response_headers_to_add)
    assert sorted(shown) == ["ratelimit", "ratelimit-policy", "x-request-id"]


async def test_an_unknown_caller_has_no_identity() -> None:
    """A forged one is taken out."""
    visit = await admitted()
    visit.decision = Decision(Reason.UNMETERED, "free", "id", PERMIT)
    ok = allowing(visit, [(b"x-bb-plan", b"evil")]).ok_response
    assert fields_of(ok.headers) == {"x-request-id": "id"}
    assert list(ok.headers_to_remove) == ["x-bb-plan"]


def test_a_refusal_has_status_fields_and_body() -> None:
    """As any door gives it."""
    decision = Decision(Reason.OVER_QUOTA, "chat", "id", None, 429, identity=ACME)
    answer = refusing(OwnAnswer(429, ((b"Retry-After", b"3"),), b'{"a": 1}'), decision)
    denied = answer.denied_response
    assert (answer.status.code, denied.status.code, denied.body) == (7, 429, '{"a": 1}')
    assert fields_of(denied.headers) == {"retry-after": "3"}
    assert answer.dynamic_metadata["reason"] == "over_quota"


def test_an_unknown_caller_is_unauthenticated() -> None:
    """For filters that look at the code of the RPC."""
    decision = Decision(Reason.UNAUTHENTICATED, "chat", "id", None, 401)
    assert refusing(OwnAnswer(401, (), b""), decision).status.code == 16


def test_metadata_says_whose_the_call_is_and_what_it_costs() -> None:
    """For access logs and later filters."""
    decision = Decision(Reason.WITHIN_QUOTA, "chat", "id", PERMIT, identity=ACME, charge=CHARGE)
    assert MessageToDict(metadata_of(decision)) == {
        "org": "org_acme", "plan": "pro", "reason": "within_quota", "route": "chat", "units": 5.0,
    }  # fmt: skip
    denied = Decision(Reason.OVER_QUOTA, "chat", "id", None, 429, charge=CHARGE)
    assert MessageToDict(metadata_of(denied))["units"] == 0
