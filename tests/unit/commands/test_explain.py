"""What `explain` says is what the engine does: the key is the one that would be sent."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sidecar.admission.idempotency import key_of, scope_of
from sidecar.commands.explain import _first_key, explain_call
from sidecar.domain.errors import UserError
from sidecar.policy.explain import KeyParts
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
    """A policy is explained where it is written: nobody is verified here."""
    named = "[{cookie: s, secret_env: NOT_SET_ANYWHERE}, {cookie: bb_at}"
    policy.write_text(policy.read_text().replace("[{cookie: bb_at}", named))
    assert "route: chat" in explained(policy, "POST", "/api/v1/chat")


def test_a_blocked_call_is_told(policy: Path) -> None:
    """So is a route that lets nobody through."""
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


def test_the_key_is_the_engines() -> None:
    """First attempt, no nonce: as for an ID that a trusted proxy chose."""
    parts = KeyParts(
        product="p", org_id="o", user_id="u", route="r", method="POST", path="/x", query="q",
        resource="ai_calls", amount=2, request_id="id",
    )  # fmt: skip
    scope = scope_of(
        product="p", org_id="o", user_id="u", route="r", method="POST", path="/x",
        resource="ai_calls", request_id="id",
    )  # fmt: skip
    assert _first_key(parts) == key_of(scope, 0, b"", query="q", amount=2)


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
