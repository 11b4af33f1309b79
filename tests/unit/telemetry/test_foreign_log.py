"""Our lines in a product's log: whole, masked, and not too many."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from sidecar.telemetry.foreign_log import guard_our_log
from tests.fakes.doors import leave_our_log

NAME = "sidecar.tests.foreign"


@pytest.fixture
def ours() -> Iterator[logging.Logger]:
    """A logger of ours that is guarded."""
    logger = logging.getLogger(NAME)
    guard_our_log()
    yield logger
    leave_our_log()


def test_a_line_has_the_fields_in_its_message(
    ours: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    """A product's formatter shows nothing else."""
    ours.warning("platform_refuses", extra={"kind": "forbidden", "hint": "check the key"})
    assert caplog.messages == ['platform_refuses kind=forbidden hint="check the key"']


def test_credentials_are_masked(ours: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    """In the message and in the fields; those that look like one, and those that are named."""
    guard_our_log().add("hunter22")
    ours.warning("odd", extra={"detail": "bbas_live_123 hunter22", "api_key": "x"})
    (record,) = caplog.records
    shown = f"{record.getMessage()} {record.__dict__}"
    assert "bbas_live" not in shown
    assert "hunter22" not in shown
    assert record.__dict__["api_key"] == "***"


def test_what_repeats_is_held_back(ours: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    """An outage is one line, not one for each call."""
    for _ in range(5):
        ours.warning("platform_not_reached", extra={"cause": "connect", "repeat_key": "c"})
    assert len(caplog.records) == 1


def test_a_line_of_others_is_left_alone(
    ours: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    """The product's log is its own."""
    for _ in range(2):
        logging.getLogger("product").warning("token=%s", "abc", extra={"more": 1})
    assert caplog.messages == ["token=abc", "token=abc"]
