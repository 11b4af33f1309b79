from __future__ import annotations

import pytest

from sidecar.telemetry.negotiation import takes_gzip, wants_openmetrics

_PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;q=0.6,application/openmetrics-text;version=0.0.1;"
    "q=0.5,text/plain;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
_PROTOBUF_FIRST = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;"
    "q=0.6," + _PROMETHEUS
)


@pytest.mark.parametrize(
    ("accept", "strict"),
    [
        ("", False),
        ("*/*", False),
        ("application/*", False),
        ("text/plain", False),
        ("application/openmetrics-text", True),
        ("Application/OpenMetrics-Text; Version=1.0.0", True),
        ("application/openmetrics-text, text/plain;q=0.5", True),
        ("application/openmetrics-text;q=0.3, text/plain;q=0.5", False),
        ("application/openmetrics-text;q=0.3, */*;q=0.5", False),
        ("application/openmetrics-text;q=0.3, text/plain;q=0.1, */*;q=0.5", True),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=much", False),
        ("application/openmetrics-text;q=1e9", False),
        (f"application/openmetrics-text;q={'9' * 5000}", False),
        (_PROMETHEUS, True),
        (_PROTOBUF_FIRST, True),
    ],
)
def test_openmetrics_is_for_who_wants_it_no_less_than_text(accept: str, *, strict: bool) -> None:
    """As Prometheus of every age asks, and as a browser or curl does."""
    assert wants_openmetrics(accept) is strict


@pytest.mark.parametrize(
    ("accept_encoding", "packed"),
    [
        ("", False),
        ("gzip", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("x-gzip", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("br, zstd", False),
        ("identity", False),
        ("gzip;q=0.5, identity", False),
        ("gzip;q=0.5, identity;q=0.1", True),
    ],
)
def test_gzip_is_for_who_takes_it(accept_encoding: str, *, packed: bool) -> None:
    """Who does not say so gets the bytes as they are."""
    assert takes_gzip(accept_encoding) is packed
