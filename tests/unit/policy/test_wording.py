"""Mistakes of shape, in words that name the thing, the value and the fix."""

from __future__ import annotations

import pytest

from sidecar.policy.load import find_problems

GOOD = {
    "version": "1",
    "product": "acme",
    "routes": "[{name: a, match: {path: /a}, meter: {}}]",
}


def told(**changes: str) -> list[str]:
    """Return what is told of a policy with some keys replaced, without positions."""
    text = "\n".join(f"{key}: {value}" for key, value in {**GOOD, **changes}.items() if value)
    problems = find_problems(text.encode(), file="p", environ=None)
    return [problem.message for problem in problems]


def test_good_policy() -> None:
    """Nothing is told of it."""
    assert told() == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": "2"}, "`version` must be 1, not 2"),
        ({"version": "'1'"}, "`version` must be 1, not '1'"),
        ({"product": ""}, "the policy needs `product`"),
        ({"product": "3"}, "`product` must be text; put it in quotes, not 3"),
        (
            {"routes": "[]"},
            "`routes` must not be empty: give at least one, such as "  # noqa: ISC004
            "`{name: rest, match: {path: /**}, action: allow}`",
        ),
        ({"routes": "x"}, "`routes` must be a list, not 'x'"),
        ({"rutes": "[]"}, "unknown key `rutes`; did you mean `routes`?"),
        (
            {"zzz": "1"},
            (
                "unknown key `zzz`; known here: version, product, case_sensitive, identity, "
                "defaults, routes, unmatched, notices, cors"
            ),
        ),
        ({"<<": "{}"}, "merge keys are not supported: what routes share belongs under `defaults`"),
        ({"case_sensitive": "yes"}, "`case_sensitive` must be true or false, not 'yes'"),
        ({"notices": "{levels: [80]}"}, "unknown key `levels`; known here: at"),
        ({"identity": "[{bearer: false}]"}, "`bearer` must be true, not false"),
        ({"unmatched": "maybe"}, "`unmatched` must be 'allow' or 'deny', not 'maybe'"),
        ({"defaults": "3"}, "`defaults` must be a mapping of keys to values, not 3"),
        ({"defaults": "{amount: 0}"}, "`amount` must be at least 1, not 0"),
        ({"defaults": "{amount: 1.5}"}, "`amount` must be a whole number, not 1.5"),
        ({"defaults": "{amount: true}"}, "`amount` must be a whole number, not true"),
        ({"defaults": "{amount: {}}"}, "`amount` needs `json` or `header`"),
        (
            {"defaults": "{amount: {json: /n, header: x}}"},
            "an amount takes `json` or `header`, not both",
        ),
        (
            {"defaults": "{amount: {header: x, maxx: 3}}"},
            "unknown key `maxx`; did you mean `max`?",
        ),
        (
            {"defaults": "{platform_timeout: 2m}"},
            "`platform_timeout` must be at most 60 s, not '2m'",
        ),
        (
            {"defaults": "{platform_timeout: 250}"},
            (
                "`platform_timeout` must be at most 60 s, not 250: a number is seconds, "
                "milliseconds are written 250ms"
            ),
        ),
        (
            {"defaults": "{platform_timeout: 0}"},
            "`platform_timeout` must be at least 0.001 s, not 0",
        ),
        (
            {"defaults": "{platform_timeout: soon}"},
            "`platform_timeout`: 'soon' is not a duration: write 250ms, 1s, 2m or plain seconds",
        ),
        (
            {"defaults": "{fail_open_budget: {unit: 3}}"},
            "unknown key `unit`; did you mean `units`?",
        ),
        (
            {"routes": "[{name: a, match: {path: /a}, amount: 3, meter: {}}]"},
            "unknown key `amount`; it belongs under `meter`",
        ),
        (
            {"routes": "[{name: a, match: {path: /a, methods: [3]}, meter: {}}]"},
            "an entry of `methods` must be text; put it in quotes, not 3",
        ),
        ({"routes": "[{name: a, match: {}, meter: {}}]"}, "`match` needs `path`"),
        ({"defaults": "{amount: {json: /n, times: {count: true}}}"}, "`times` needs `json`"),
        (
            {"defaults": "{amount: {json: /n, times: {json: /p, cuont: true}}}"},
            "unknown key `cuont`; did you mean `count`?",
        ),
        (
            {"defaults": "{amount: {json: /n, times: {json: /p, times: {json: /q}}}}"},
            "unknown key `times`; known here: map, default, max, json, count",
        ),
        ({"defaults": "{amount: {json: /n, count: 1}}"}, "`count` must be true or false, not 1"),
        (
            {"routes": "[{name: a, match: {path: /a}, meter: ~}]"},
            "nothing is given here: give a value, or leave out the key where it is optional",
        ),
    ],
)
def test_messages(change: dict[str, str], message: str) -> None:
    """One mistake, one message."""
    assert told(**change) == [message]
