"""How problems are told."""

from __future__ import annotations

from sidecar.policy.problems import PolicyError, PolicyProblem


def test_problem_reads_like_a_compiler() -> None:
    """Editors and people can jump to it."""
    assert str(PolicyProblem("p.yaml", 3, 7, "unknown key `x`")) == "p.yaml:3:7: unknown key `x`"


def test_error_is_one_line() -> None:
    """The first problem of the file, and how to see the others."""
    error = PolicyError([PolicyProblem("p.yaml", 9, 1, "b"), PolicyProblem("p.yaml", 2, 1, "a")])
    assert str(error) == "p.yaml:2:1: a (and 1 more: see `bb-sidecar check p.yaml`)"


def test_error_with_one_problem() -> None:
    """Nothing more to see, nothing more is said."""
    assert str(PolicyError([PolicyProblem("p.yaml", 2, 1, "a")])) == "p.yaml:2:1: a"
