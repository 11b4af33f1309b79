from __future__ import annotations

import pytest

from sidecar.answers.writer import OwnAnswer, serialise

ANSWER = OwnAnswer(503, ((b"Retry-After", b"1"),), b"{}")


@pytest.mark.parametrize(
    ("keep", "minor", "line"),
    [
        (True, 1, b""),
        (True, 0, b"Connection: keep-alive\r\n"),
        (False, 1, b"Connection: close\r\n"),
    ],
)
def test_the_connection_field_says_what_happens_next(
    *, keep: bool, minor: int, line: bytes
) -> None:
    """HTTP/1.1 stays open unless it says so, HTTP/1.0 closes unless it says so."""
    assert serialise(ANSWER, keep=keep, minor=minor, bodiless=False) == (
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
        + line
        + b"Content-Length: 2\r\n\r\n{}"
    )


def test_an_answer_to_head_has_the_length_and_no_body() -> None:
    """RFC 9110, 9.3.2."""
    data = serialise(ANSWER, keep=True, minor=1, bodiless=True)
    assert data.endswith(b"Content-Length: 2\r\n\r\n")
