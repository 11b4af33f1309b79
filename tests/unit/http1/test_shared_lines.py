"""Lines that many messages share."""

from __future__ import annotations

import pytest

from sidecar.http1.shared_lines import date_line, kept_for, via_lines


@pytest.mark.parametrize(("seconds", "shown"), [(620.0, b"620"), (5.9, b"5"), (0.1, b"0")])
def test_a_client_is_never_promised_more_time_than_it_has(seconds: float, shown: bytes) -> None:
    """Whole seconds, rounded down."""
    line = b"Connection: keep-alive\r\nKeep-Alive: timeout=%b\r\n" % shown
    assert kept_for(seconds) == line


def test_the_date_is_that_of_http() -> None:
    """The example of RFC 9110, 5.6.7."""
    assert date_line(784111777) == b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"


def test_via_names_the_protocol_of_the_message() -> None:
    """By its minor version; without a name there is no line."""
    assert via_lines("edge") == (b"Via: 1.0 edge\r\n", b"Via: 1.1 edge\r\n")
    assert via_lines(None) == (b"", b"")
