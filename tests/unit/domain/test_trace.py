from __future__ import annotations

import pytest

from sidecar.domain.trace import trace_fields

ID = b"4bf92f3577b34da6a3ce929d0e0e4736"
GOOD = b"00-%b-00f067aa0ba902b7-01" % ID


@pytest.mark.parametrize("value", [GOOD, b"cc-%b-00f067aa0ba902b7-01-more" % ID])
def test_the_trace_of_a_request_is_its_traceparents(value: bytes) -> None:
    """A later version may add to the field."""
    assert trace_fields([(b"host", b"a"), (b"traceparent", value)]) == {"trace_id": ID.decode()}


@pytest.mark.parametrize(
    "values",
    [
        [],
        [GOOD, GOOD],
        [b""],
        [ID],
        [GOOD.upper()],
        [b"ff" + GOOD[2:]],
        [GOOD.replace(ID, b"0" * 32)],
        [GOOD.replace(b"00f067aa0ba902b7", b"0" * 16)],
    ],
)
def test_what_is_no_traceparent_names_no_trace(values: list[bytes]) -> None:
    """W3C Trace Context, section 3.2."""
    assert trace_fields([(b"traceparent", value) for value in values]) == {}
