from __future__ import annotations

import json

import pytest

from sidecar.commands.output import Shown, plain, printable, quota_cells, show, when
from sidecar.domain.quota import UNLIMITED, Quota
from sidecar.settings.secret import Secret

QUOTA = Quota("ai_calls", 25, 12, 13, "month", 1_761_955_200.0)


def test_a_result_becomes_plain_data() -> None:
    """Values, mappings and lists, all the way down."""
    value = {"quotas": [QUOTA], "apps": frozenset({"a"})}
    assert json.loads(json.dumps(plain(value))) == {
        "quotas": [
            {
                "resource": "ai_calls",
                "limit": 25,
                "used": 12,
                "remaining": 13,
                "period": "month",
                "reset_at": "2025-11-01T00:00:00Z",
            }
        ],
        "apps": ["a"],
    }


def test_a_secret_is_masked() -> None:
    """A command that shows one says so by name."""
    assert plain({"secret": Secret("whsec_x")}) == {"secret": "***"}


@pytest.mark.parametrize(
    ("quota", "cells"),
    [
        (QUOTA, ("12", "25", "13", "48 %", "2025-11-01T00:00:00Z")),
        (
            Quota("ai_calls", UNLIMITED, 12, UNLIMITED, "month", 0.0),
            ("12", "unlimited", "unlimited", "", "1970-01-01T00:00:00Z"),
        ),
        (Quota("seats", 0, 0, 0, "month", 0.0), ("0", "0", "0", "", "1970-01-01T00:00:00Z")),
    ],
)
def test_a_quota_in_cells(quota: Quota, cells: tuple[str, ...]) -> None:
    """-1 in words; no share of nothing."""
    assert quota_cells(quota) == cells


def test_no_time_is_nothing() -> None:
    """Not 1970."""
    assert when(None) == ""


@pytest.mark.parametrize("text", ["\x1b[2J", "a\nb", "\u202e", "\x9b31m"])
def test_what_steers_a_terminal_becomes_a_mark(text: str) -> None:
    """Titles come from whoever may publish."""
    assert printable(text).isprintable()


def test_a_table_that_is_piped_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """A long cell goes on in the next line."""
    show(Shown(None, ("a",), [("x" * 300,)]), as_json=False)
    assert capsys.readouterr().out.count("x") == 300


def test_a_time_stays_in_one_line_where_the_terminal_is_narrow(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a time is none."""
    monkeypatch.setattr("sidecar.commands.output._PIPED_WIDTH", 40)
    show(Shown(None, ("at", "url"), [("2026-11-25T21:45:13Z", "x" * 100)]), as_json=False)
    assert "2026-11-25T21:45:13Z" in capsys.readouterr().out


def test_the_exit_status_is_the_results(capsys: pytest.CaptureFixture[str]) -> None:
    """In either form."""
    shown = Shown({}, ("a",), [], status=1)
    assert [show(shown, as_json=as_json) for as_json in (True, False)] == [1, 1]
    assert capsys.readouterr().out == "{}\nnone\n"
