"""What a limit of open files leaves room for."""

from __future__ import annotations

import resource
from dataclasses import replace

import pytest

from sidecar.app.open_files import BACKLOG, OWN, fitted, raise_limit, room_for
from sidecar.settings.sections import Limits

DEFAULT = Limits()


@pytest.mark.parametrize("allowed", [64, 200, 256, 1024, 4096, 16_384, 65_536, 1_048_576])
@pytest.mark.parametrize(
    "limits",
    [DEFAULT, Limits(max_inflight=16), Limits(max_connections=10), Limits(max_connections=10**6)],
)
def test_clients_their_calls_and_the_rest_fit_together(limits: Limits, allowed: int) -> None:
    """Every client connected, as many calls under way as may be, and a burst at the door."""
    room = fitted(limits, allowed)
    clients = room.limits.max_connections
    assert 1 <= clients <= limits.max_connections
    most = OWN + room.backlog + clients + min(clients, limits.max_inflight)
    assert most <= allowed or allowed <= OWN + 18


@pytest.mark.parametrize(
    ("limits", "allowed"),
    [
        (DEFAULT, OWN + BACKLOG + DEFAULT.max_connections + DEFAULT.max_inflight),
        (DEFAULT, 65_536),
        (Limits(max_connections=300, upstream_connections=64), 1024),
    ],
)
def test_settings_that_fit_are_left(limits: Limits, allowed: int) -> None:
    """To the last descriptor."""
    assert fitted(limits, allowed).limits == limits


def test_what_is_wanted_is_enough(caplog: pytest.LogCaptureFixture) -> None:
    """The number that the warning names would have been."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanting = replace(DEFAULT, max_connections=1_000_000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    try:
        room = room_for(wanting)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    (record,) = caplog.records
    assert (record.message, record.levelname) == ("open_files_short", "WARNING")
    told = vars(record)
    assert told["in_force"] == room.limits.max_connections < told["wanted"] == 1_000_000
    assert fitted(wanting, told["open_files_wanted"]).limits == wanting
    assert fitted(wanting, told["open_files_wanted"] - 1).limits != wanting


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    """Whatever the shell has set."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, hard), hard))
    try:
        raise_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_system_that_refuses_its_own_hard_limit_is_asked_for_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As macOS does: "unlimited", and no more than 10,240."""
    asked: list[tuple[int, int]] = []

    def refusing(_: int, limits: tuple[int, int]) -> None:
        asked.append(limits)
        if not 0 <= limits[0] <= 10_240:
            raise ValueError("not allowed to raise maximum limit")

    unlimited = resource.RLIM_INFINITY
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, unlimited))
    monkeypatch.setattr(resource, "setrlimit", refusing)
    raise_limit()
    assert [soft for soft, _ in asked] == [unlimited, 65_536, 10_240]
