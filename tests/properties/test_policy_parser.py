"""Whatever a policy file holds, it loads or its problems are told."""

from __future__ import annotations

from typing import Final

import yaml
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.load import find_problems, load_policy
from sidecar.policy.problems import PolicyError, PolicyProblem

KEYS: Final = st.sampled_from(
    [
        "version", "product", "identity", "cookie", "bearer", "secret_env", "defaults", "routes",
        "name", "match", "path", "methods", "headers", "meter", "action", "errors", "amount",
        "json", "header", "map", "default", "max", "resource", "unmatched", "fail_open_budget",
        "units", "seconds", "platform_timeout", "deny_status", "x", "case_sensitive",
    ]
)  # fmt: skip
SCALARS: Final = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["/a/**", "/n", "allow", "deny", "POST", "ai_calls", "1s", "openai", "a"])
)
VALUES: Final = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=30,
)
YAML_BITS: Final = st.lists(
    st.sampled_from(
        ["version: 1\n", "routes:\n", "  - ", "{", "}", "[", "]", ":", ": ", ",", "&a ", "*a",
         "!x ", "|\n", ">", "'", '"', "#", "\n", "  ", "? ", "<<", "---\n", "...", "a",
         "%YAML 1.1\n", "1", "\t", "é", "\x00", "\ufeff", "~"]
    ),
    max_size=40,
).map("".join)  # fmt: skip


def check(data: bytes) -> None:
    """Try both ways in: they agree, and raise nothing else."""
    problems = find_problems(data, file="p", environ={})
    assert all(p.line >= 1 and p.column >= 1 and p.message for p in problems)
    told: tuple[PolicyProblem, ...] = ()
    try:
        load_policy(data, file="p", environ={})
    except PolicyError as error:
        told = error.problems
    assert list(told) == problems


@given(st.binary(max_size=200))
def test_bytes(data: bytes) -> None:
    """Any bytes at all."""
    check(data)


@given(YAML_BITS)
def test_bits_of_yaml(text: str) -> None:
    """Pieces of YAML in any order."""
    check(text.encode("utf-8", "surrogatepass"))


@given(st.dictionaries(KEYS, VALUES, max_size=8))
def test_values_of_any_shape(document: dict[str, object]) -> None:
    """The format's own keys with values that do not belong there."""
    check(yaml.safe_dump(document).encode("utf-8", "surrogatepass"))


@given(VALUES, VALUES, VALUES)
def test_routes_of_any_shape(match: object, meter: object, identity: object) -> None:
    """A policy that is good but for three of its parts."""
    document = {
        "version": 1,
        "product": "acme",
        "identity": identity,
        "routes": [{"name": "a", "match": match, "meter": meter}],
    }
    check(yaml.safe_dump(document).encode("utf-8", "surrogatepass"))
