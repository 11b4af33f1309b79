"""The compiled policy."""

from __future__ import annotations

import pytest

from sidecar.domain.choices import Action, ErrorFormat
from sidecar.policy.compiled import Policy, Route, UnsafePath, effect_of
from sidecar.policy.effects import Effect, Rank
from sidecar.policy.load import load_policy

TEXT = b"""\
version: 1
product: acme
routes:
  - {name: paid, match: {path: /paid}, meter: {}}
  - {name: shut, match: {path: /shut}, action: deny}
  - {name: open, match: {path: /open}, action: allow}
unmatched: deny
"""


@pytest.fixture
def policy() -> Policy:
    """A policy with a route of each kind."""
    return load_policy(TEXT, file="p.yaml", environ={})


def test_route_for_gives_the_route(policy: Policy) -> None:
    """Each path falls to its route."""
    assert policy.route_for("GET", "/open", ()) is policy.routes[2]


def test_route_for_falls_to_unmatched(policy: Policy) -> None:
    """Never None: what no route takes has a route of its own."""
    assert policy.route_for("GET", "/else", ()) is policy.unmatched
    assert policy.unmatched == Route("unmatched", None, Action.DENY, ErrorFormat.PROBLEM)


def test_route_for_refuses_unsafe_paths(policy: Policy) -> None:
    """The detail is what the caller is told."""
    assert policy.route_for("GET", "/open/../paid", ()) == UnsafePath(
        "the path is spelt so that it could mean another route; send it in its normal form"
    )


def test_effects(policy: Policy) -> None:
    """What a route does decides how it is guarded."""
    paid = policy.routes[0].meter
    assert [effect_of(route) for route in policy.routes] == [
        Effect(Rank.METERED, paid),
        Effect(Rank.DENIED),
        Effect(Rank.FREE),
    ]


def test_route_for_weighs_the_query() -> None:
    """A method that the query asks for is one more reading of the call."""
    text = (
        b"version: 1\nproduct: a\nroutes:\n- {name: p, match: {path: /, methods: [PUT]}, meter: {}}"
    )
    policy = load_policy(text + b"\nunmatched: allow", file="p", environ={})
    assert policy.route_for("POST", "/", (), query="a=1") is policy.unmatched
    assert isinstance(policy.route_for("POST", "/", (), query="_method=PUT"), UnsafePath)


def test_route_without_meter_and_action_cannot_be_compiled() -> None:
    """Nothing means "allow" by being absent."""
    with pytest.raises(ValueError, match="neither meter nor action"):
        effect_of(Route("x", None, None, ErrorFormat.PROBLEM))
