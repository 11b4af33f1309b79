"""A browser's preflight: passed without a token and unmetered, or decided as any call."""

from __future__ import annotations

import pytest

from sidecar.admission.findings import Preflight
from sidecar.admission.verdict import rule_unmetered
from sidecar.domain.choices import ErrorFormat
from sidecar.domain.credentials import IdentityFailure
from sidecar.domain.model import Call, Decision, Headers, Reason, RequestIdOrigin
from sidecar.policy.load import load_policy
from tests.fakes.admission import KnownBody
from tests.unit.admission.scene import Scene

POLICY = b"""\
version: 1
product: acme-notes
routes:
  - {name: chat, match: {path: /chat, methods: [POST]}, meter: {errors: openai}}
  - {name: reads, match: {path: /chat, methods: [GET]}, action: allow}
  - {name: admin, match: {path: /admin}, action: deny}
  - {name: all, match: {path: /all}, meter: {}}
"""
FIELDS: Headers = ((b"origin", b"https://a.example"), (b"access-control-request-method", b"POST"))
BODY = (b"content-length", b"2")


async def options(scene: Scene, path: str, headers: Headers = FIELDS, query: str = "") -> Decision:
    """Decide on an OPTIONS call under POLICY, with an identity that fails."""
    policy = load_policy(POLICY, file="p", environ={})
    scene.identities.who = IdentityFailure.MISSING
    scene.policies.current = policy
    call = Call("OPTIONS", path, query, headers, "req-1", RequestIdOrigin.GENERATED)
    return await scene.engine.decide(call, KnownBody())


def test_the_table_lets_a_preflight_pass_unmetered() -> None:
    """It has a finding of its own, and the reason of what is not metered."""
    assert rule_unmetered(Preflight()).reason is Reason.UNMETERED


async def test_a_preflight_of_a_metered_route_passes_and_nothing_is_asked() -> None:
    """No token is looked for, nothing is charged; it carries the route's name."""
    scene = Scene()
    decision = await options(scene, "/chat")
    assert decision.permit is not None
    assert (decision.reason, decision.route) == (Reason.UNMETERED, "chat")
    assert (decision.identity, decision.charge) == (None, None)
    assert decision.errors is ErrorFormat.OPENAI
    assert scene.identities.waits == []
    assert scene.observer.told == []


@pytest.mark.parametrize("asked", [b"GET", b"HEAD"])
async def test_a_preflight_of_a_free_route_passes_under_a_closed_policy(asked: bytes) -> None:
    """OPTIONS matches no route there."""
    fields = (FIELDS[0], (FIELDS[1][0], asked))
    assert (await options(Scene(), "/chat", fields)).reason is Reason.UNMETERED


@pytest.mark.parametrize(
    ("path", "asked", "reason"),
    [
        ("/admin", b"POST", Reason.BLOCKED),
        ("/chat", b"DELETE", Reason.UNMATCHED),
        ("/other", b"POST", Reason.UNMATCHED),
        ("/chat/%zz", b"POST", Reason.BAD_REQUEST),
    ],
)
async def test_a_preflight_of_what_is_denied_is_denied(
    path: str, asked: bytes, reason: Reason
) -> None:
    """As any call to OPTIONS there."""
    decision = await options(Scene(), path, (FIELDS[0], (FIELDS[1][0], asked)))
    assert (decision.permit, decision.reason) == (None, reason)


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ((*FIELDS, BODY), ""),
        ((*FIELDS, (b"transfer-encoding", b"chunked")), ""),
        ((*FIELDS, (b"upgrade", b"websocket")), ""),
        ((*FIELDS, FIELDS[0]), ""),
        ((*FIELDS, FIELDS[1]), ""),
        ((*FIELDS, (b"x-http-method-override", b"OPTIONS")), ""),
        (FIELDS, "_method=OPTIONS"),
    ],
)
async def test_nothing_is_smuggled_as_a_preflight(headers: Headers, query: str) -> None:
    """Where every method is metered, it needs a token as any call."""
    assert (await options(Scene(), "/all")).reason is Reason.UNMETERED
    decision = await options(Scene(), "/all", headers, query)
    assert (decision.permit, decision.reason) == (None, Reason.UNAUTHENTICATED)


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ((*FIELDS, (b"x-http-method-override", b"POST")), ""),
        ((*FIELDS, (b"x-method-override", b"post")), ""),
        (FIELDS, "_method=POST"),
    ],
)
async def test_options_that_asks_for_a_metered_method_is_no_way_round_it(
    headers: Headers, query: str
) -> None:
    """Many frameworks would run the handler of POST."""
    decision = await options(Scene(), "/chat", headers, query)
    assert decision.permit is None
