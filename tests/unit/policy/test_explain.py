"""Why a call goes where it goes."""

from __future__ import annotations

import textwrap

import pytest

from sidecar.domain.model import Reason
from sidecar.policy.amounts import UnreadableAmount
from sidecar.policy.compiled import Policy
from sidecar.policy.explain import Explanation, KeyParts, explain, render
from sidecar.policy.load import load_policy
from tests.codings import compressed

POLICY = load_policy(
    b"""\
version: 1
product: acme
routes:
  - {name: gold, match: {path: /chat, headers: {x-tier: gold}}, action: allow}
  - name: chat
    match: {path: /chat, methods: [POST]}
    meter: {amount: {json: /n, max: 4}, body_limit: 9}
  - name: upload
    match: {path: /files}
    meter: {resource: storage_bytes, amount: {header: content-length}}
  - {name: list, match: {path: /models/list}, action: allow}
  - {name: model, match: {path: /models/*}, meter: {}}
unmatched: allow
""",
    file="p",
    environ={},
)


def told(method: str, target: str, body: bytes = b"", *, policy: Policy = POLICY) -> Explanation:
    """Explain a call without headers."""
    return explain(policy, method, target, [], body)


def test_steps_end_at_the_route() -> None:
    """Each route in order, and why not."""
    steps = told("POST", "/chat?x=1", b'{"n":2}').steps
    assert [(step.route, step.matches, step.why) for step in steps] == [
        ("gold", False, "no header x-tier with the value 'gold'"),
        ("chat", True, "the path matches /chat, the method is listed"),
    ]


def test_steps_without_a_route() -> None:
    """All were tried, then what is for the rest."""
    explanation = told("GET", "/chat")
    assert explanation.steps[1].why == "the method is not one of POST"
    assert explanation.steps[-1].route == "unmatched"
    assert explanation.route is POLICY.unmatched


def test_headers_agree() -> None:
    """The header that made the difference is named."""
    explanation = explain(POLICY, "POST", "/chat", [(b"x-tier", b"gold")], b"")
    assert explanation.steps[0].why == "the path matches /chat, the headers are there"
    assert [c.reason for c in explanation.consequences] == [Reason.UNMETERED]


@pytest.mark.parametrize(
    ("body", "amount", "reason", "status"),
    [
        (b'{"n":2}', 2, Reason.WITHIN_QUOTA, 0),
        (b'{"n":5}', None, Reason.BAD_REQUEST, 422),
        (b'{"n":  2}', 2, Reason.WITHIN_QUOTA, 0),
        (b'{"n":   2}', None, Reason.BAD_REQUEST, 413),
    ],
)
def test_amount(body: bytes, amount: int | None, reason: Reason, status: int) -> None:
    """What it costs, or why that cannot be read."""
    explanation = told("POST", "/chat", body)
    first = explanation.consequences[0]
    assert (first.reason, first.status) == (reason, status)
    if amount is None:
        assert isinstance(explanation.amount, UnreadableAmount)
    else:
        assert explanation.amount == amount


def test_a_compressed_body_is_explained() -> None:
    """As it would be decided: decoded, within the limit, or 413 and 415."""
    policy = load_policy(
        b"{version: 1, product: acme, routes: [{name: a, match: {path: /a}, meter: "
        b"{body_limit: 100, amount: {json: /p, count: true}}}]}",
        file="p",
        environ={},
    )

    def asked(coding: bytes, body: bytes) -> tuple[object, int]:
        headers = [(b"content-encoding", coding)]
        explanation = explain(policy, "POST", "/a", headers, body)
        return explanation.amount, explanation.consequences[0].status

    assert asked(b"zstd", compressed(b'{"p":[1,2,3]}', "zstd")) == (3, 0)
    assert asked(b"gzip", compressed(b'{"p":"%b"}' % (b"x" * 200), "gzip"))[1] == 413
    assert asked(b"br", b"{}")[1] == 415


def test_key_parts_and_key() -> None:
    """What the key is made from; the key itself is the admission's to derive."""
    explanation = explain(
        POLICY, "POST", "/models/x?a=1", [], b"",
        product="other", org_id="org_1", user_id="u", request_id="r",
        derive_key=lambda parts: parts.org_id + "!",
    )  # fmt: skip
    assert explanation.key_parts == KeyParts(
        product="other",
        org_id="org_1",
        user_id="u",
        route="model",
        method="POST",
        path="/models/x",
        query="a=1",
        resource="ai_calls",
        amount=1,
        request_id="r",
    )
    assert explanation.key == "org_1!"


def test_free_call_has_no_key() -> None:
    """Nothing is charged for an empty upload."""
    explanation = explain(POLICY, "PUT", "/files", [(b"content-length", b"0")], b"")
    assert (explanation.amount, explanation.key_parts) == (0, None)


def test_refused_path_shows_where_it_could_lead() -> None:
    """The reading that made the difference, and its route."""
    explanation = told("GET", "/models/LIST")
    assert explanation.route is None
    assert explanation.detours == (("/models/LIST", "model"),)
    assert [(c.reason, c.status) for c in explanation.consequences] == [(Reason.BAD_REQUEST, 400)]


def test_an_encoded_slash_is_one_more_way_to_read_the_path() -> None:
    """As it is, it is no model; decoded, it is one."""
    explanation = told("GET", "/models%2fx")
    assert explanation.detours == (("/models/x", "model"),)
    assert "another route" in explanation.refused


def test_an_override_is_one_more_way_to_read_the_call() -> None:
    """From a header as from the query."""
    explanation = told("GET", "/chat?_method=post")
    assert explanation.detours == (("POST /chat", "chat"),)
    assert explanation.refused.startswith("the call asks to be taken for POST")
    header = [(b"x-http-method-override", b"GET")]
    explanation = explain(POLICY, "POST", "/chat", header, b'{"n":2}')
    assert explanation.detours == (("GET /chat", "unmatched"),)
    assert explanation.route is not None


def test_unsafe_path_has_no_steps() -> None:
    """It is refused before any route is tried."""
    explanation = told("GET", "/models/%zz")
    assert (explanation.steps, explanation.detours) == ((), ())
    assert "starts no escape" in explanation.refused


@pytest.mark.parametrize(
    ("method", "target", "body", "text"),
    [
        (
            "POST",
            "//chat",
            b'{"n":2}',
            """\
            POST //chat
              read as /chat
            routes, in order
              no   gold: no header x-tier with the value 'gold'
              yes  chat: the path matches /chat, the method is listed
            other ways to read the call
              //chat would be unmatched
              / would be unmatched
            route: chat
            cost: 2 units of ai_calls (amount: {"json": "/n", "max": 4})
            key: a digest over
              product: acme
              org_id: <org>
              user_id: <user>
              route: chat
              method: POST
              path: //chat
              query:
              resource: ai_calls
              amount: 2
              request_id: <request id>
              attempt: how often this ID was charged before
              nonce: of the process, unless a trusted proxy chose the ID
            outcomes
              within_quota (upstream): there is quota
            """,
        ),
        (
            "GET",
            "/models/LIST",
            b"",
            """\
            GET /models/LIST
            routes, in order
              no   gold: the path does not match /chat
              no   chat: the path does not match /chat
              no   upload: the path does not match /files
              yes  list: the path matches /models/list
            other ways to read the call
              /models/LIST would be model
            refused: the path is spelt so that it could mean another route; \
send it in its normal form
            outcomes
              bad_request (400): always
            """,
        ),
        (
            "POST",
            "/chat",
            b"",
            """\
            POST /chat
            routes, in order
              no   gold: no header x-tier with the value 'gold'
              yes  chat: the path matches /chat, the method is listed
            route: chat
            cost: cannot be read: /n of the body is missing, and the call is metered by it
            outcomes
              bad_request (422): always
            """,
        ),
        (
            "GET",
            "/models/list",
            b"",
            """\
            GET /models/list
            routes, in order
              no   gold: the path does not match /chat
              no   chat: the path does not match /chat
              no   upload: the path does not match /files
              yes  list: the path matches /models/list
            route: list
            cost: nothing, not metered
            outcomes
              unmetered (upstream): always
            """,
        ),
    ],
)
def test_render(method: str, target: str, body: bytes, text: str) -> None:
    """As the terminal shows it, from its first line."""
    shown = render(told(method, target, body)) + "\n"
    assert shown.startswith(textwrap.dedent(text))
