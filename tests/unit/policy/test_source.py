"""YAML texts, their values and where things stand."""

from __future__ import annotations

import pytest

from sidecar.policy.file import MAX_BYTES
from sidecar.policy.source import read_document


def problems(data: bytes) -> list[str]:
    """Return the problems of a text, in its order."""
    return [str(problem) for problem in sorted(read_document(data, "p").problems)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1", {"a": 1}),
        ("a: [true, False, no, yes, on]", {"a": [True, False, "no", "yes", "on"]}),
        ("a: 1:30", {"a": "1:30"}),
        ("a: 010", {"a": 10}),
        ("a: 1_000", {"a": "1_000"}),
        ("a: 0x10", {"a": "0x10"}),
        ("a: 1.5e3", {"a": 1500.0}),
        ("a: .inf", {"a": ".inf"}),
        ("a: '1'", {"a": "1"}),
        ("a: 2024-01-01", {"a": "2024-01-01"}),
        ("1: x\nno: y\ntrue: z", {"1": "x", "no": "y", "true": "z"}),
        ("\ufeffa: 1", {"a": 1}),
        ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
        ("--- {a: 1}\n...", {"a": 1}),
        ("a: " + "9" * 31, {"a": 1e31}),
    ],
)
def test_values(text: str, value: object) -> None:
    """Scalars of the YAML 1.2 core schema; keys are text."""
    document = read_document(text.encode(), "p")
    assert (document.value, document.problems) == (value, [])


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "p:1:1: the file is empty: a policy starts with `version: 1`"),
        (b"# nothing\n", "p:1:1: the file is empty: a policy starts with `version: 1`"),
        (b"a: 1\nb: \xff", "p:2:4: not UTF-8: save the file as UTF-8"),
        (b"a: 1\nb: \x00", "p:2:4: the character '\\x00' is not allowed in YAML"),
        (b"a: 1\na: 2", "p:2:1: duplicate key `a`: it is on line 1 already"),
        (
            b"a:\nb: 1",
            "p:1:3: nothing is given here: give a value, or leave out the key where it is optional",
        ),
        (b"a: 1\n---\nb: 2", "p:2:1: a second document: keep one policy per file"),
        (b"a: *x", "p:1:4: alias *x names nothing that came before"),
        (b"&a [*a]", "p:1:5: alias *a names nothing that came before"),
        (b"a: !!python/object:os.system x", "p:1:4: a tag has no meaning here: leave it out"),
        (b"? [a]\n: b", "p:1:3: a key must be plain text"),
        (b"a: " + b"[" * 500, "p:1:36: nested deeper than 32 levels"),
        (
            b"a" * (MAX_BYTES + 1),
            "p: the file is larger than 1 MiB: describe paths that share a meter by one pattern, "  # noqa: ISC004
            "such as /api/**",
        ),
    ],
)
def test_problems(data: bytes, problem: str) -> None:
    """Each mistake of form is told where it stands."""
    assert problems(data) == [problem]


def test_nesting_that_the_parser_itself_refuses() -> None:
    """Some releases of libyaml look ahead, with a bound of their own: one problem all the same."""
    (problem,) = problems(b"a: " + b"[" * 5000)
    assert "nest" in problem


@pytest.mark.parametrize("data", [b"a: [", b"a: 'x", b"a: b: c", b"\tx: 1", b"a: 1\n b: 2", b"]"])
def test_syntax(data: bytes) -> None:
    """What is not YAML is one problem, with the parser's words and a position."""
    [problem] = problems(data)
    assert ": not YAML: " in problem


def test_all_problems_are_found() -> None:
    """A mistake of form does not end the reading."""
    assert len(problems(b"a:\na: 1\nb: !x 1\nb: 2")) == 4


def test_aliases_expand_within_bounds() -> None:
    """A few lines cannot become a billion values."""
    tens = (f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9))
    lines = ["a0: &a0 [1,1,1,1,1,1,1,1,1,1]", *tens]
    document = read_document("\n".join(lines).encode(), "p")
    assert document.value is None
    assert "aliases expand to too much" in str(document.problems[-1])


def test_problem_of_an_aliased_value_stands_where_it_is_written() -> None:
    """One mistake that is used twice is told once."""
    document = read_document(b"a: &x {b: 1}\nc: *x", "p")
    document.problem(("a", "b"), "wrong")
    document.problem(("c", "b"), "wrong")
    assert [str(problem) for problem in document.problems] == ["p:1:11: wrong"]


def test_problem_passes_over_names_that_the_document_does_not_have() -> None:
    """A validator's own names in a location do not lead astray."""
    document = read_document(b"a:\n  b: 1", "p")
    document.problem(("a", "a branch", "b", "missing"), "wrong")
    assert [str(problem) for problem in document.problems] == ["p:2:6: wrong"]


def test_problem_at_a_key() -> None:
    """What is wrong with a key is told at the key."""
    document = read_document(b"a:\n  b: 1", "p")
    document.problem(("a", "b"), "wrong", key=True)
    assert [str(problem) for problem in document.problems] == ["p:2:3: wrong"]


def test_line() -> None:
    """Where a value begins."""
    assert read_document(b"a:\n  b: 1", "p").line(("a", "b")) == 2
