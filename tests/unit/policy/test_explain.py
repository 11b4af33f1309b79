"""How a call finds its route."""

from __future__ import annotations

from sidecar.policy.explain import Detour, detours_of, steps_of
from sidecar.policy.load import load_policy

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


def test_steps_end_at_the_route() -> None:
    """Each route in order, and why not."""
    steps = steps_of(POLICY, "POST", "/chat", [])
    assert [(step.route, step.matches, step.why) for step in steps] == [
        ("gold", False, "no header x-tier with the value 'gold'"),
        ("chat", True, "the path matches /chat, the method is listed"),
    ]


def test_steps_without_a_route() -> None:
    """All were tried, then what is for the rest."""
    steps = steps_of(POLICY, "GET", "/chat", [])
    assert steps[1].why == "the method is not one of POST"
    assert (steps[-1].route, steps[-1].matches) == ("unmatched", True)


def test_headers_agree() -> None:
    """The header that made the difference is named."""
    steps = steps_of(POLICY, "POST", "/chat", [(b"x-tier", b"gold")])
    assert [step.why for step in steps] == ["the path matches /chat, the headers are there"]


def test_a_path_in_other_case_is_one_more_way_to_read_it() -> None:
    """The reading that made the difference, and its route."""
    assert detours_of(POLICY, "GET", "/models/LIST", [], "") == (Detour("/models/LIST", "model"),)


def test_an_encoded_slash_is_one_more_way_to_read_the_path() -> None:
    """As it is, it is no model; decoded, it is one."""
    assert detours_of(POLICY, "GET", "/models%2fx", [], "") == (Detour("/models/x", "model"),)


def test_an_override_is_one_more_way_to_read_the_call() -> None:
    """From a header as from the query."""
    assert detours_of(POLICY, "GET", "/chat", [], "_method=post") == (Detour("POST /chat", "chat"),)
    header = [(b"x-http-method-override", b"GET")]
    assert detours_of(POLICY, "POST", "/chat", header, "") == (Detour("GET /chat", "unmatched"),)


def test_unsafe_path_has_no_steps() -> None:
    """It is refused before any route is tried."""
    assert steps_of(POLICY, "GET", "/models/%zz", []) == ()
    assert detours_of(POLICY, "GET", "/models/%zz", [], "") == ()
