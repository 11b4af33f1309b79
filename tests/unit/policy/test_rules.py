"""What must hold between the fields of a policy."""

from __future__ import annotations

import textwrap

import pytest

from sidecar.policy.rules import check_rules, match_of
from sidecar.policy.source import read_document


def broken(text: str, environ: dict[str, str] | None = None) -> list[str]:
    """Return the rules that a policy breaks."""
    document = read_document(textwrap.dedent(text).encode(), "p")
    assert document.problems == []
    check_rules(document, environ)
    return [str(problem) for problem in sorted(document.problems)]


def routes(*lines: str, top: str = "") -> list[str]:
    """Return the rules that routes break; the first of them is on line 2."""
    return broken("\n".join(["routes:", *(f"  - {line}" for line in lines), top]))


def test_sample_of_the_interface_breaks_none() -> None:
    """Narrower routes before wider ones, one source each."""
    assert (
        routes(
            "{name: a, match: {path: /a/b, methods: [POST]}, meter: {}}",
            "{name: b, match: {path: /a/b}, action: deny}",
            "{name: c, match: {path: /a/*}, meter: {amount: {json: /n, default: 1, max: 1}}}",
            "{name: d, match: {path: /**}, action: allow}",
        )
        == []
    )


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("{cookie: a, bearer: true}", "2:5: an identity has one of `cookie` and `bearer: true`"),
        ("{secret_env: S}", "2:5: an identity has one of `cookie` and `bearer: true`"),
        ("{bearer: true, secret_env: S}", "2:20: `secret_env` goes with `cookie` only"),
        (
            "{cookie: bb_at, secret_env: S}",
            "2:21: `bb_at` is signed with the platform's keys, no secret",
        ),
        ("{cookie: bb_session}", "2:14: `bb_session` is the platform's own: never read it"),
    ],
)
def test_identity(entry: str, problem: str) -> None:
    """A source is one thing, and its secret belongs to it."""
    assert broken(f"identity:\n  - {entry}") == [f"p:{problem}"]


@pytest.mark.parametrize("entry", ["cookie: a", "bearer: true"])
def test_identity_twice(entry: str) -> None:
    """The second could never decide."""
    text = f"identity:\n  - {entry}\n  - {entry}"
    assert broken(text) == ["p:3:5: the same source is on line 2 already"]


def test_a_cookie_named_bearer_is_no_bearer_token() -> None:
    """They are read from different places."""
    assert broken("identity:\n  - cookie: bearer\n  - bearer: true") == []


@pytest.mark.parametrize("environ", [{}, {"S": ""}])
def test_secret_must_be_set(environ: dict[str, str]) -> None:
    """An empty secret would verify anything."""
    text = "identity:\n  - {cookie: a, secret_env: S}"
    assert broken(text, environ) == [
        "p:2:29: environment variable S is not set: it must hold the secret"
    ]


def test_secret_is_not_looked_for_without_an_environment() -> None:
    """A policy is checked where it is written."""
    assert broken("identity:\n  - {cookie: a, secret_env: S}") == []


@pytest.mark.parametrize(
    ("rest", "problem"),
    [
        ("meter: {}, action: deny", "2:5: a route has both `meter` and `action`: give exactly one"),
        ("", "2:5: a route needs one of `meter` and `action`: give exactly one"),
        (
            "meter: {}, errors: openai",
            "2:45: `errors` of a metered route belongs under `meter`",
        ),
    ],
)
def test_meter_or_action(rest: str, problem: str) -> None:
    """What is done with a call is said once."""
    assert routes(f"{{name: a, match: {{path: /a}}, {rest}}}") == [f"p:{problem}"]


def test_reserved_name() -> None:
    """`unmatched` would be counted as something else."""
    assert routes("{name: unmatched, match: {path: /a}, meter: {}}") == [
        "p:2:12: `unmatched` is reserved for calls that match no route"
    ]


def test_duplicate_names() -> None:
    """Two routes under one label could not be told apart."""
    assert routes(
        "{name: a, match: {path: /a}, meter: {}}", "{name: a, match: {path: /b}, meter: {}}"
    ) == ["p:3:12: duplicate route name `a`, first on line 2"]


@pytest.mark.parametrize(
    "place", ["defaults:\n  amount:", "routes:\n  - meter: {}\ndefaults:\n  amount:"]
)
def test_amount_contradicts_itself(place: str) -> None:
    """An amount that its own `max` refuses."""
    found = broken(f"{place} {{json: /n, default: 5, max: 3, map: {{a: 4, b: 3}}}}")
    told = [problem.partition(" ")[2] for problem in found]
    assert "`default` 5 is over `max` 3" in told
    assert "`a` 4 is over `max` 3" in told


def test_a_factor_contradicts_itself() -> None:
    """What holds for an amount holds for the one that multiplies it."""
    found = broken(
        "defaults: {amount: {json: /n, times: "
        "{json: /p, count: true, default: 5, max: 3, map: {a: 1}}}}"
    )
    told = [problem.partition(" ")[2] for problem in found]
    assert "`default` 5 is over `max` 3" in told
    assert "`map` prices a name, and `count` counts: take one of them" in told


def test_an_amount_counts_or_prices_names() -> None:
    """A length is no name."""
    found = broken("defaults: {amount: {json: /n, count: true, map: {a: 4}}}")
    assert [problem.partition(" ")[2] for problem in found] == [
        "`map` prices a name, and `count` counts: take one of them"
    ]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("{path: /a}", "{path: /a}"),
        ("{path: /a}", "{path: /a/}"),
        ("{path: /a}", "{path: /A}"),
        ("{path: /**}", "{path: /a/*/b}"),
        ("{path: /a/**}", "{path: /a}"),
        ("{path: /a/*}", "{path: /a/b}"),
        ("{path: /a/**/c}", "{path: /a/b/**/c}"),
        ("{path: /a, methods: [GET, POST]}", "{path: /a, methods: [HEAD]}"),
        ("{path: /a, headers: {x: '1'}}", "{path: /a, headers: {X: '1', y: '2'}}"),
    ],
)
def test_unreachable(earlier: str, later: str) -> None:
    """A route whose every call falls to one earlier route."""
    assert routes(
        f"{{name: a, match: {earlier}, meter: {{}}}}", f"{{name: b, match: {later}, meter: {{}}}}"
    ) == ["p:3:5: unreachable: `a` on line 2 matches all its calls; put the narrower route first"]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("{path: /a/*}", "{path: /a/**}"),
        ("{path: /a/*}", "{path: /a}"),
        ("{path: /a/b}", "{path: /a/*}"),
        ("{path: /a/**/c}", "{path: /a/**}"),
        ("{path: /a, methods: [GET]}", "{path: /a}"),
        ("{path: /a, headers: {x: '1'}}", "{path: /a}"),
        ("{path: /a, headers: {x: '1'}}", "{path: /a, headers: {x: '2'}}"),
    ],
)
def test_reachable(earlier: str, later: str) -> None:
    """Some call is left for the later route."""
    assert (
        routes(
            f"{{name: a, match: {earlier}, meter: {{}}}}",
            f"{{name: b, match: {later}, meter: {{}}}}",
        )
        == []
    )


def test_routes_that_differ_in_case_are_reachable_where_case_counts() -> None:
    """`case_sensitive` makes them two paths."""
    assert (
        routes(
            "{name: a, match: {path: /a}, meter: {}}",
            "{name: b, match: {path: /A}, meter: {}}",
            top="case_sensitive: true",
        )
        == []
    )


@pytest.mark.parametrize(
    "text",
    [
        "3",
        "identity: 3",
        "identity: [3, [], {cookie: 3}]",
        "identity: [{cookie: [x]}, {cookie: {a: b}}, {cookie: [x]}]",
        "defaults: 3",
        "defaults: {amount: {max: x, map: 3}}",
        "routes: {a: 1}",
        "routes: [3, {match: 3, meter: {amount: {max: 3, map: {a: b}}}}]",
        "routes: [{name: 3, match: {path: /a, methods: 3, headers: 3}, action: deny}]",
        "routes: [{name: [x], match: {path: /a, methods: [3], headers: {a: 3}}, action: deny}]",
        "routes: [{name: x, match: {path: a, headers: {é: 'ж'}}, action: deny}]",
        "routes: [{name: x, match: {path: /a, headers: {é: 'ж'}}, action: deny}]",
    ],
)
def test_what_is_not_understood_is_passed_over(text: str) -> None:
    """Mistakes of shape are told elsewhere; here they neither raise nor count."""
    assert [p for p in broken(text) if "identity has" not in p and "a route" not in p] == []


def test_match_of_gives_what_the_head_parser_gives() -> None:
    """Header names in lower case, values as bytes of Latin-1."""
    match = match_of("/a", ["GET"], {"X-A": "é"})
    assert (match.methods, match.headers) == (frozenset({"GET"}), ((b"x-a", b"\xe9"),))


def test_every_origin_with_credentials_is_refused() -> None:
    """Each alone is fine; both would hand every visitor's session to every page."""
    text = "cors:\n  origins: ['https://a.example', '*']\n  credentials: "
    assert broken(text + "false") == []
    assert broken("cors: {origins: ['https://a.example'], credentials: true}") == []
    (problem,) = broken(text + "true")
    assert problem.startswith("p:2:34: `*` with `credentials: true` would let every page")
