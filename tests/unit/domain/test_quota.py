"""How strictly the platform's quota object is read."""

from __future__ import annotations

from typing import Any, Final

import pytest

from sidecar.domain.quota import Quota, check_quota, read_instant, read_quota

MEMBERS: Final[dict[str, Any]] = {
    "used": 12,
    "limit": 25,
    "remaining": 13,
    "period": "month",
    "reset_at": "2025-11-01T00:00:00Z",
}
NOVEMBER: Final = 1_761_955_200.0


def read(**changes: object) -> Quota | None:
    """Read the usual quota with these members instead."""
    return read_quota({**MEMBERS, **changes}, "ai_calls")


def test_quota_of_the_contract() -> None:
    """The contract's example is read whole."""
    assert read() == Quota("ai_calls", 25, 12, 13, "month", NOVEMBER)


@pytest.mark.parametrize(
    "changes",
    [
        {"used": 0, "remaining": 25},
        {"used": 25, "remaining": 0},
        {"used": 30, "remaining": 0},
        {"limit": 0, "used": 0, "remaining": 0},
        {"limit": -1, "remaining": -1},
        {"limit": 2**63 - 1, "remaining": 2**63 - 1},
    ],
)
def test_possible_numbers(changes: dict[str, int]) -> None:
    """The ends of what is possible are possible; `used` may have passed a lowered limit."""
    assert read(**changes) is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"limit": -1},
        {"remaining": -1},
        {"limit": -2, "remaining": -2},
        {"remaining": -5},
        {"limit": -5, "remaining": -5},
        {"remaining": 26},
        {"used": -1},
        {"limit": 2**63, "remaining": 0},
        {"used": 2**63},
    ],
)
def test_impossible_numbers(changes: dict[str, int]) -> None:
    """Negatives other than the pair of -1, and more remaining than allowed, are impossible."""
    assert read(**changes) is None


@pytest.mark.parametrize("member", ["used", "limit", "remaining"])
@pytest.mark.parametrize("value", [None, True, False, "12", 12.0, 12.5, [], {}])
def test_number_of_another_type(member: str, value: object) -> None:
    """A number is a whole JSON number and nothing that resembles one."""
    assert read(**{member: value}) is None


@pytest.mark.parametrize("member", ["period", "reset_at"])
@pytest.mark.parametrize("value", [None, 1, True, "", [], {}, "x" * 33])
def test_text_of_another_type(member: str, value: object) -> None:
    """A text is a string of sensible length."""
    assert read(**{member: value}) is None


@pytest.mark.parametrize("member", MEMBERS)
def test_missing_member(member: str) -> None:
    """Half a quota is none."""
    rest = {name: value for name, value in MEMBERS.items() if name != member}
    assert read_quota(rest, "ai_calls") is None


@pytest.mark.parametrize("remaining", [-1, -5])
def test_a_refusal_may_have_less_than_nothing_left(remaining: int) -> None:
    """It counts as zero; an unlimited quota has -1 all the same."""
    members = {**MEMBERS, "used": 30, "remaining": remaining}
    quota = check_quota(members, "ai_calls", refused=True)
    assert quota == Quota("ai_calls", 25, 30, 0, "month", NOVEMBER)
    assert check_quota(members, "ai_calls") == "remaining"
    unlimited = check_quota({**members, "limit": -1}, "ai_calls", refused=True)
    assert isinstance(unlimited, Quota) is (remaining == -1)


@pytest.mark.parametrize("member", MEMBERS)
def test_what_is_malformed_is_named(member: str) -> None:
    """For the log."""
    assert check_quota({**MEMBERS, member: []}, "ai_calls") == member


@pytest.mark.parametrize(
    "text",
    [
        "2025-11-01T00:00:00Z",
        "2025-11-01T00:00:00z",
        "2025-11-01t00:00:00Z",
        "2025-11-01 00:00:00+00:00",
        "2025-11-01T00:00:00+00:00",
        "2025-11-01T01:00:00+01:00",
        "2025-10-31T19:00:00-0500",
        "2025-11-01T00:00:00.000Z",
        "2025-11-01T00:00:00.000000000Z",
        "2025-11-01T00:00:00",
    ],
)
def test_same_instant(text: str) -> None:
    """One instant in every spelling that services use."""
    assert read_instant(text) == NOVEMBER


@pytest.mark.parametrize(
    "text",
    [
        "2025-11-01",
        "2025-13-01T00:00:00Z",
        "2025-02-30T00:00:00Z",
        "2025-11-01T25:00:00Z",
        "2025-11-01T00:00:00+99:99",
        "0000-01-01T00:00:00Z",
        "20251101T000000Z",
        "2025-W44-6T00:00:00Z",
        "1761955200",
        "next month",
        " 2025-11-01T00:00:00Z",
        "2025-11-01T00:00:00Z\n",
        "\u0662025-11-01T00:00:00Z",
    ],
)
def test_no_instant(text: str) -> None:
    """A date alone, or a time that no calendar has, is none."""
    assert read_instant(text) is None
