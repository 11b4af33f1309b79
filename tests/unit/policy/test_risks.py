"""Warnings of `bb-sidecar check`: a policy can be used, but may not do what is meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.policy.load import find_problems
from sidecar.policy.problems import Severity
from sidecar.policy.risks import Deployment

ROOT = Path(__file__).parents[3]
POLICY = """\
version: 1
product: acme
identity:
  - bearer: true
routes:
  - {name: paid, match: {path: /paid/**}, meter: {refund: %s}}
  - {name: free, match: {path: /**}, action: allow}
"""


def warnings(text: str, deployment: Deployment | None = None) -> list[str]:
    """Return the warnings for a policy; there are no errors."""
    found = find_problems(text.encode(), file="p.yaml", environ=None, deployment=deployment)
    assert not any(problem.severity is Severity.ERROR for problem in found)
    return [str(problem) for problem in found if problem.severity is Severity.WARNING]


def test_a_refund_under_trusted_ids_without_redis_is_warned_about() -> None:
    """Another replica may have charged the same key, so nothing is given back."""
    (warning,) = warnings(POLICY % "unreached", Deployment(trusted_proxies=True))
    assert warning.startswith("p.yaml:6:12: warning: `refund: unreached` of `paid` gives nothing")
    assert warning.endswith("set REDIS_URL (--redis)")


def test_a_refund_with_redis_or_without_trusted_ids_is_not_warned_about() -> None:
    """Keys are then this process's own."""
    both = Deployment(trusted_proxies=True, shared_attempts=True)
    assert warnings(POLICY % "unreached", both) == []
    assert warnings(POLICY % "unreached") == []
    assert warnings(POLICY % "never", Deployment(trusted_proxies=True)) == []


@pytest.mark.parametrize(("method", "near"), [("PSOT", "POST"), ("DELET", "DELETE")])
def test_a_method_with_a_typo_is_warned_about(method: str, near: str) -> None:
    """Its calls would take a later route, often a free one."""
    text = POLICY.replace("path: /paid/**", f"path: /paid/**, methods: [POST, {method}]")
    said = f"the method `{method}`; did you mean `{near}`?"
    assert any(said in warning for warning in warnings(text % "never"))


@pytest.mark.parametrize("method", ["PROPPATCH", "PURGE", "QUERY", "REPORT", "MKCOL"])
def test_a_method_that_is_not_of_the_common_ones_is_not_warned_about(method: str) -> None:
    """WebDAV and caches have methods of their own."""
    text = POLICY.replace("path: /paid/**", f"path: /paid/**, methods: [POST, {method}]")
    assert not any("did you mean" in warning for warning in warnings(text % "never"))


def test_a_budget_is_noted_as_that_of_each_replica() -> None:
    """Once for each budget, not for each route; nothing where no route fails open."""
    two = POLICY.replace(
        "  - {name: free",
        "  - {name: more, match: {path: /more}, meter: {fail_open_budget: {units: 5}}}\n"
        "  - {name: same, match: {path: /same}, meter: {}}\n  - {name: free",
    )
    found = find_problems(
        (two % "never").encode(), file="p.yaml", environ=None, deployment=Deployment()
    )
    assert [(problem.severity, problem.line) for problem in found] == [
        (Severity.NOTE, 6),
        (Severity.NOTE, 7),
    ]
    assert "each replica admits up to 1000 units of ai_calls per org in 900 s" in str(found[0])
    assert "up to 5 units" in str(found[1])
    closed = POLICY.replace("refund: %s", "on_platform_error: fail_closed")
    assert (
        find_problems(closed.encode(), file="p.yaml", environ=None, deployment=Deployment()) == []
    )


def routes(*lines: str) -> list[str]:
    """Return the warnings for routes; the first of them is on line 4."""
    head = ["version: 1", "product: acme", "routes:"]
    return warnings("\n".join([*head, *(f"  - {line}" for line in lines), "unmatched: allow"]))


POST = "{name: chat, match: {path: /chat, methods: [POST]}, meter: {}}"


def test_a_free_websocket_on_a_metered_path_is_warned_about() -> None:
    """It is a GET, and the route names POST alone; one warning names all such routes."""
    others = [POST.replace("chat", name) for name in "abcd"]
    (warning,) = routes(POST, *others)
    assert warning.startswith(
        "p.yaml:4:25: warning: a WebSocket on the paths of `chat`, `a`, `b` and"
    )
    assert " and 2 more is not metered: " in warning
    assert warning.endswith("`headers: {upgrade: websocket}`")


@pytest.mark.parametrize(
    "before",
    [
        "{name: s, match: {path: /**, headers: {upgrade: websocket}}, meter: {}}",
        "{name: s, match: {path: /**, headers: {Upgrade: WebSocket}}, action: deny}",
        "{name: s, match: {path: /chat, methods: [GET]}, action: deny}",
    ],
)
def test_a_websocket_that_is_metered_or_denied_is_not_warned_about(before: str) -> None:
    """By its header, or as a GET."""
    assert routes(before, POST) == []


def test_a_route_of_every_method_takes_the_websocket() -> None:
    """So does one of GET, and one that meters bytes is no way to a model."""
    assert routes("{name: a, match: {path: /a}, meter: {}}") == []
    assert routes("{name: a, match: {path: /a, methods: [GET, POST]}, meter: {}}") == []
    bytes_ = "meter: {resource: storage_bytes, amount: {header: content-length, max: 9}}"
    assert routes(f"{{name: a, match: {{path: /a, methods: [POST, PUT]}}, {bytes_}}}") == []


@pytest.mark.parametrize("effect", ["meter: {resource: seats}", "action: deny"])
def test_a_free_post_beside_a_stricter_method_is_warned_about(effect: str) -> None:
    """A form with `_method=PUT` would run the stricter handler."""
    (warning,) = routes(f"{{name: doc, match: {{path: /doc/*, methods: [PUT]}}, {effect}}}")
    assert "a POST on the paths of `doc` is free" in warning


@pytest.mark.parametrize("methods", ["[PUT, POST]", "[POST]"])
def test_a_post_of_the_same_route_is_not_warned_about(methods: str) -> None:
    """It is charged already."""
    lines = (
        f"{{name: doc, match: {{path: /doc/*, methods: {methods}}}, meter: {{resource: seats}}}}",
        "{name: rest, match: {path: /**}, action: allow}",
    )
    assert routes(*lines) == []


@pytest.mark.parametrize(
    "path",
    [
        *Path(__file__).parents[3].glob("policies/*.yaml"),
        *Path(__file__).parents[3].glob("sidecar/demo/*.yaml"),
    ],
    ids=lambda path: path.name,
)
def test_the_policies_that_are_shipped_have_no_risk(path: Path) -> None:
    """What users start from warns of nothing."""
    assert warnings(path.read_text()) == []


@pytest.mark.parametrize(
    ("cors", "warning"),
    [
        ("{origins: ['https://*.com']}", "8:18: warning: `https://*.com` are all hosts under .com"),
        (
            "{origins: ['http://app.acme.com'], credentials: true}",
            "8:18: warning: a page of `http://app.acme.com` comes in clear text",
        ),
        ("{origins: ['http://app.acme.com']}", ""),
        ("{origins: ['http://localhost:3000'], credentials: true}", ""),
        ("{origins: ['https://*.acme.com'], credentials: true}", ""),
        ("{origins: ['*']}", ""),
    ],
)
def test_origins_of_others_are_warned_about(cors: str, warning: str) -> None:
    """A wildcard below a whole registry, and cookies for a page that anyone may change."""
    found = warnings(f"{POLICY % 'never'}cors: {cors}\n")
    assert len(found) == bool(warning)
    assert all(each.startswith(f"p.yaml:{warning}") for each in found)


def of_amounts(amount: str) -> list[str]:
    """Return the warnings of a route with this amount."""
    return warnings(POLICY.replace("meter: {refund: %s}", f"meter: {{amount: {amount}}}"))


@pytest.mark.parametrize(
    "amount",
    [
        "{json: /n}",
        "{json: /n, default: 1}",
        "{header: content-length}",
        "{json: /n, times: {json: /prompt, count: true}}",
        "{json: /model, map: {big: 5}, times: {json: /n}}",
        "{json: /n, times: {json: /best_of, max: 5}}",
    ],
)
def test_an_amount_that_a_client_names_without_a_bound_is_warned_about(amount: str) -> None:
    """One call could use up the quota of its org."""
    (warning,) = of_amounts(amount)
    assert warning.startswith("p.yaml:6:59: warning: a client can name any amount up to 90071992")
    assert warning.endswith("in one call: set `max`")


@pytest.mark.parametrize(
    "amount",
    [
        "5",
        "{json: /n, max: 16}",
        "{header: x-units, max: 16}",
        "{json: /model, map: {big: 5}}",
        "{header: x-model, map: {big: 5}}",
        "{json: /input, count: true}",
        "{json: /n, max: 16, times: {json: /best_of}}",
        "{json: /model, map: {big: 5}, times: {json: /input, count: true}}",
    ],
)
def test_an_amount_that_is_bounded_is_not_warned_about(amount: str) -> None:
    """By `max`, by the prices of its names, or by the size of a body."""
    assert of_amounts(amount) == []


def test_an_unbounded_amount_of_the_defaults_is_warned_about_once() -> None:
    """At its own line, however many routes take it."""
    text = POLICY.replace("routes:", "defaults: {amount: {json: /n}}\nroutes:").replace(
        "  - {name: free", "  - {name: more, match: {path: /more}, meter: {}}\n  - {name: free"
    )
    (warning,) = warnings(text % "never")
    assert warning.startswith("p.yaml:5:20: warning: a client can name any amount")
