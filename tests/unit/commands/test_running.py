"""How commands fail: one line, the right exit status, no key."""

from __future__ import annotations

import pytest

from tests.unit.commands.conftest import ORG, Run


@pytest.mark.parametrize(
    ("words", "variable", "flag"),
    [
        (("catalog",), "BIZBASICS_API_KEY", "--api-key-file"),
        (("quota", "consume", "--org", ORG), "PLATFORM_INTERNAL_KEY", "--key-file"),
    ],
)
def test_a_missing_key_says_where_it_is_looked_for(
    run: Run, words: tuple[str, ...], variable: str, flag: str
) -> None:
    """The variable and the flag."""
    ran = run(*words, **{variable: ""})
    assert ran.status == 2
    assert variable in ran.err
    assert flag in ran.err


@pytest.mark.parametrize(
    ("words", "variable", "wrong"),
    [
        (("catalog",), "BIZBASICS_API_KEY", "bbk_wrong_0123"),
        (("quota", "consume", "--org", ORG), "PLATFORM_INTERNAL_KEY", "bbas_wrong_0123"),
    ],
)
def test_a_refused_key_is_a_mistake_of_the_user(
    run: Run, words: tuple[str, ...], variable: str, wrong: str
) -> None:
    """One line, exit 2, with the place of the key and without the key."""
    ran = run(*words, **{variable: wrong})
    assert (ran.status, len(ran.err.splitlines())) == (2, 1)
    assert variable in ran.err
    assert f"the {wrong.partition('_')[0]}_ key was refused" in ran.err
    assert "wrong_0123" not in ran.err


def test_an_unknown_org_is_a_mistake_of_the_user(run: Run) -> None:
    """By its name."""
    ran = run("quota", "consume", "--org", "org_nobody")
    assert (ran.status, "org_nobody" in ran.err) == (2, True)


def test_a_platform_that_is_away_is_exit_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is nobody's mistake: worth another try."""
    monkeypatch.setattr("sidecar.client.retrying.Backoff.wait", lambda *_: 100.0)
    ran = run("catalog", PLATFORM_API_URL="http://127.0.0.1:9")
    assert (ran.status, len(ran.err.splitlines())) == (1, 1)
    assert ran.err.rstrip().endswith("try again later")
