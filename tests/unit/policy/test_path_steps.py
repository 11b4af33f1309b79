"""What a stack may do to a path, step by step."""

from __future__ import annotations

import pytest

from sidecar.policy import path_steps as steps
from sidecar.policy.path_steps import STEPS, PathStep, fold_case


@pytest.mark.parametrize(
    ("step", "before", "after"),
    [
        (steps.decode, "/%2f%41%ff%C3%A9", "//A\udcffé"),
        (steps.decode_but_separators, "/%2f%5C%41", "/%2f%5CA"),
        (steps.decode_unreserved, "/%41%2f%c3%a9", "/A%2F%C3%A9"),
        (steps.decode_needed, "/%41%20", "/%41 "),
        (steps.decode_plus, "/a+b", "/a b"),
        (steps.drop_lone_bytes, "/a\udcffb", "/ab"),
        (steps.decode_latin_1, "/caf\udce9", "/café"),
        (steps.decode_overlong, "/\udcc0\udcaf\udcc1\udc81", "//A"),
        (steps.decode_overlong, "/\udce0\udc80\udcaf\udcf0\udc80\udc81\udc81", "//A"),
        (steps.decode_overlong, "/\udc80\udcaf", "/\udc80\udcaf"),
        (steps.compose, "/\uff41\uff0fe\u0301", "/a/é"),
        (steps.drop_controls, "/a\n\tb\0\x7f", "/ab"),
        (steps.strip_space, "/a\n\u2003", "/a"),
        (steps.cut_at_nul, "/a\0b", "/a"),
        (steps.cut_at_query, "/a?b", "/a"),
        (steps.cut_at_fragment, "/a#b", "/a"),
        (steps.cut_at_semicolon, "/a;b/c;d", "/a"),
        (steps.strip_parameters, "/a;b/c;d", "/a/c"),
        (steps.turn_backslashes, "/a\\b", "/a/b"),
        (steps.strip_tails, "/a. /../b ./.c", "/a/../b/.c"),
        (steps.resolve_dots, "/a/./b/../c/..", "/a/"),
        (steps.resolve_dots, "/a//../../..", "/"),
        (steps.fold_slashes, "//a///b", "/a/b"),
        (steps.fold_leading_slashes, "///a//b", "/a//b"),
        (steps.drop_host, "//host/a//b", "/a//b"),
        (steps.drop_host, "///host", "/"),
        (steps.drop_host, "/host/a", "/host/a"),
        (steps.strip_last_slash, "/a//", "/a"),
        (steps.strip_last_slash, "//", "/"),
    ],
)
def test_step(step: PathStep, before: str, after: str) -> None:
    """Each does one thing."""
    assert step(before) == after


@pytest.mark.parametrize("step", STEPS)
def test_a_plain_path_stays(step: PathStep) -> None:
    """No step changes what has one spelling."""
    assert step("/api/v1/chat.json") == "/api/v1/chat.json"


def test_every_step_is_used() -> None:
    """None is written and forgotten."""
    helpers = {"fold_case", "normalize", "unquote"}
    written = {
        each for name, each in vars(steps).items() if callable(each) and name[0].islower()
    } - {getattr(steps, name) for name in helpers}
    assert {each for each in written if each.__module__ == steps.__name__} == set(STEPS)


@pytest.mark.parametrize(
    ("segment", "folded"),
    [
        ("KISS", "kiss"),
        ("ÀÉÇ", "àéç"),
        ("\u212aiss", "kiss"),
        ("k\u0131\u017fs", "kiss"),
        ("K\u0130SS", "kiss"),
        ("stra\u00dfe", "strasse"),
        ("\uff4biss", "kiss"),
    ],
)
def test_fold_case(segment: str, folded: str) -> None:
    """Case folding goes beyond ASCII, by every rule that some language has."""
    assert fold_case(segment) == folded
