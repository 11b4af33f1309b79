"""What `explain` says is what the engine does: the key is the one that would be sent."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

import pytest

from sidecar.commands.explain import explain, explain_call
from sidecar.commands.explanation import Explanation, render
from sidecar.domain.errors import UserError
from sidecar.domain.model import Call, Headers, Reason, RequestIdOrigin
from sidecar.policy.compiled import Policy
from sidecar.policy.load import load_policy
from tests.codings import compressed
from tests.e2e.harness import LOCAL, ORG, stack

POLICY = """
version: 1
product: acme-notes
identity: [{cookie: bb_at}, {bearer: true}]
routes:
  - name: chat
    match: {path: /api/v1/chat, methods: [POST]}
    meter: {amount: {json: /n, default: 1, max: 8}, platform_timeout: 5s}
  - name: admin
    match: {path: /admin/**}
    action: deny
unmatched: allow
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """The file."""
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return path


def explained(
    policy: Path, method: str, target: str, body: bytes | None = None, *headers: str
) -> str:
    """Explain one call."""
    pairs = [tuple(header.encode("latin-1").split(b": ", 1)) for header in headers]
    fields = [(name, value) for name, value in pairs]
    return explain_call(policy, method=method, target=target, headers=fields, body=body)


def test_a_metered_call_has_its_price(policy: Path) -> None:
    """Route, resource and amount are told."""
    text = explained(policy, "POST", "/api/v1/chat?x=1", b'{"n": 4}')
    assert "chat" in text
    assert "ai_calls" in text
    assert "4" in text


def test_no_secret_has_to_be_at_hand(policy: Path) -> None:
    """A policy is explained where it is written: no token is verified here."""
    named = "[{cookie: s, secret_env: NOT_SET_ANYWHERE}, {cookie: bb_at}"
    policy.write_text(policy.read_text().replace("[{cookie: bb_at}", named))
    assert "route: chat" in explained(policy, "POST", "/api/v1/chat")


def test_a_blocked_call_is_told(policy: Path) -> None:
    """So is a route that lets no caller through."""
    assert "blocked (403): always" in explained(policy, "GET", "/admin/users")


def test_a_price_over_the_most_is_told(policy: Path) -> None:
    """What would be refused is explained as refused."""
    assert "422" in explained(policy, "POST", "/api/v1/chat", b'{"n": 9}')


def test_a_body_has_its_length(tmp_path: Path) -> None:
    """A price by Content-Length is that of the body given, or of the header given instead."""
    path = tmp_path / "policy.yaml"
    path.write_text(
        "version: 1\nproduct: acme\nroutes:\n"
        "  - name: upload\n    match: {path: /files/*}\n"
        "    meter: {resource: storage_bytes, amount: {header: content-length}}\n"
    )
    assert "cost: 5 bytes" in explained(path, "PUT", "/files/a", b"hello")
    assert "cost: 0 bytes" in explained(path, "PUT", "/files/a", b"")
    assert "cost: 70 bytes" in explained(path, "PUT", "/files/a", b"hello", "content-length: 70")
    assert "cost: cannot be read" in explained(path, "PUT", "/files/a", None)


def test_a_file_that_cannot_be_used_is_a_mistake(tmp_path: Path) -> None:
    """With its position."""
    path = tmp_path / "policy.yaml"
    path.write_text("version: 2\n")
    with pytest.raises(UserError, match=re.escape(f"{path}:1:")):
        explained(path, "GET", "/")


def test_the_same_as_json(policy: Path) -> None:
    """For scripts: the names of the outcomes are the interface's reasons."""
    text = explain_call(
        policy, method="POST", target="/api/v1/chat?x=1", headers=[], body=b"{}", as_json=True
    )
    told = json.loads(text)
    assert (told["route"], told["cost"]["amount"], told["key"]["query"]) == ("chat", 1, "x=1")
    assert told["outcomes"][0] == {
        "when": "there is quota", "reason": "within_quota", "status": 0,
    }  # fmt: skip


@pytest.mark.parametrize("carrier", ["cookie: theme=dark; bb_at={}", "authorization: Bearer {}"])
async def test_the_key_is_the_one_that_the_platform_gets(policy: Path, carrier: str) -> None:
    """The same call, explained and made by way of a trusted proxy, has the same key."""
    async with stack(policy=POLICY, trusted_proxies=LOCAL) as s:
        carried = carrier.format(s.token())
        given = (carried, "x-request-id: id-1")
        text = explained(policy, "POST", "/api/v1/chat", b"{}", *given)
        headers = dict(line.split(": ", 1) for line in given)
        assert (await s.call(org=None, headers=headers)).status_code == 200
        [consume] = s.platform.consumes(ORG)
        assert re.findall(r"\b[0-9a-f]{64}\b", text) == [consume.key]


@pytest.mark.parametrize(
    "carried",
    ["bb_at=x", "bb_at=a.b.c", "bb_at=.W10.", "bb_at=.eyJvcmdfaWQiOjd9.", "bb_at=.ég==.", "other"],
)
def test_a_token_that_says_nothing_leaves_the_blanks(policy: Path, carried: str) -> None:
    """What cannot be read is shown as to be filled in."""
    text = explained(policy, "POST", "/api/v1/chat", b"{}", f"cookie: {carried}")
    assert "org_id: <org>" in text
    assert "request_id: <request id>" in text
    assert "key: a digest over" in text


SEVERAL = load_policy(
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


def told(
    method: str,
    path: str,
    query: str = "",
    body: bytes = b"",
    headers: Headers = (),
    *,
    policy: Policy = SEVERAL,
) -> Explanation:
    """Explain a call to a policy of several routes."""
    call = Call(method, path, query, headers, "<request id>", RequestIdOrigin.TRUSTED)
    return explain(policy, call, body, policy.product)


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
    explanation = told("POST", "/chat", "", body)
    assert explanation.cost is not None
    assert explanation.cost.amount == amount
    assert (explanation.outcomes[0].reason, explanation.outcomes[0].status) == (reason, status)


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
        explanation = told("POST", "/a", "", body, headers, policy=policy)
        assert explanation.cost is not None
        return explanation.cost.amount, explanation.outcomes[0].status

    assert asked(b"zstd", compressed(b'{"p":[1,2,3]}', "zstd")) == (3, 0)
    assert asked(b"gzip", compressed(b'{"p":"%b"}' % (b"x" * 200), "gzip"))[1] == 413
    assert asked(b"br", b"{}")[1] == 415


def test_free_call_has_no_key() -> None:
    """Nothing is charged for an empty upload."""
    explanation = told("PUT", "/files", headers=[(b"content-length", b"0")])
    assert explanation.cost is not None
    assert (explanation.cost.amount, explanation.key) == (0, None)


@pytest.mark.parametrize(("number", "said"), [(b"1", "1 unit of"), (b"2", "2 units of")])
def test_one_unit_is_one_unit(number: bytes, said: str) -> None:
    """In the singular."""
    assert f"cost: {said} ai_calls" in render(told("POST", "/chat", "", b'{"n":%b}' % number))


def test_a_refused_path_says_why() -> None:
    """Nothing else is known of the call then."""
    explanation = told("GET", "/models%2fx")
    assert (explanation.route, explanation.cost) == (None, None)
    assert "another route" in explanation.refused


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
            caller: no token was given; to see whose call it is, add -H 'Cookie: bb_at=TOKEN'
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
            caller: no token was given; to see whose call it is, add -H 'Cookie: bb_at=TOKEN'
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
            caller: no token was given; to see whose call it is, add -H 'Cookie: bb_at=TOKEN'
            cost: nothing, not metered
            outcomes
              unmetered (upstream): always
            """,
        ),
    ],
)
def test_render(method: str, target: str, body: bytes, text: str) -> None:
    """As the terminal shows it, from its first line."""
    path, _, query = target.partition("?")
    shown = render(told(method, path, query, body)) + "\n"
    assert shown.startswith(textwrap.dedent(text))


def test_a_preflight_is_explained_by_the_route_of_the_method_it_asks_for(policy: Path) -> None:
    """It costs nothing and asks for no token."""
    policy.write_text(POLICY.replace("unmatched: allow", "unmatched: deny"))
    text = explained(
        policy,
        "OPTIONS",
        "/api/v1/chat",
        None,
        "origin: https://a.example",
        "access-control-request-method: POST",
    )
    assert "route: chat" in text
    assert "cost: nothing" in text
    assert "unmetered (upstream): always: a browser's preflight" in text
