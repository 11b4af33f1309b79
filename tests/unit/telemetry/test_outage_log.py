"""One line for an outage of the platform, whatever number of orgs and calls it meets."""

from __future__ import annotations

import logging

import pytest

from sidecar.domain.model import Charge
from sidecar.domain.quota import FailureKind
from sidecar.telemetry.outage_log import QUIET_SECONDS, OutageLog
from tests.fakes.clock import TurnedClock


class Scene:
    """An outage log on a clock that is turned by hand."""

    def __init__(self) -> None:
        self.clock = TurnedClock()
        self.log = OutageLog(self.clock.monotonic)

    def admit(self, org: str, units: int = 1, *, first: bool = True) -> None:
        """Have a call pass."""
        charge = Charge(org, "p", "ai_calls", units, "k", private=True)
        self.log.admitted(charge, FailureKind.TIMEOUT, first=first)


@pytest.fixture
def scene(caplog: pytest.LogCaptureFixture) -> Scene:
    """Collect what is logged, from INFO on."""
    caplog.set_level(logging.INFO)
    return Scene()


def test_ten_thousand_orgs_are_one_line(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """66,909 lines in 25 minutes, 157 a second."""
    for n in range(10_000):
        scene.admit(f"org_{n}")
        scene.clock.advance(0.15)
    assert [record.message for record in caplog.records] == ["fail_open_started"]


def test_the_end_says_how_much_it_was(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """Calls, units by resource, orgs, and how long."""
    scene.admit("a")
    scene.clock.advance(30)
    scene.admit("a", 4, first=False)
    scene.admit("b")
    scene.clock.advance(QUIET_SECONDS)
    scene.log.answered()
    ended = caplog.records[-1].__dict__
    assert ended["message"] == "fail_open_ended"
    assert (ended["seconds"], ended["calls"], ended["orgs"]) == (30.0, 3, 2)
    assert ended["units"] == {"ai_calls": 6}
    assert not scene.log.calls


def test_a_platform_that_answers_now_and_then_is_one_outage(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """It has ended when it answers and nothing passed unconfirmed for a while."""
    for _ in range(100):
        scene.admit("a", first=False)
        scene.log.answered()
        scene.clock.advance(QUIET_SECONDS - 1)
    assert [record.message for record in caplog.records] == ["fail_open_started"]


def test_the_next_outage_has_its_own_lines(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """Counted from nothing."""
    for _ in range(2):
        scene.admit("a")
        scene.clock.advance(QUIET_SECONDS)
        scene.log.answered()
        scene.log.answered()
    assert [record.message for record in caplog.records] == [
        "fail_open_started",
        "fail_open_ended",
    ] * 2
    assert caplog.records[-1].__dict__["calls"] == 1
