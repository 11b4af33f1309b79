from __future__ import annotations

import pytest

from sidecar.answers.writer import OwnAnswer, serialise
from sidecar.http1.shared_lines import CLOSE, kept_for

ANSWER = OwnAnswer(503, ((b"Retry-After", b"1"),), b"{}")


@pytest.mark.parametrize("connection", [CLOSE, kept_for(620)])
def test_an_answer_has_a_date_and_says_what_happens_next(connection: bytes) -> None:
    """RFC 9110, 6.6.1, and RFC 9112, 9.3 and 9.6."""
    assert serialise(ANSWER, now=784111777.9, connection=connection, bodiless=False) == (
        b"HTTP/1.1 503 Service Unavailable\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        b"Retry-After: 1\r\n" + connection + b"Content-Length: 2\r\n\r\n{}"
    )


def test_an_answer_to_head_has_the_length_and_no_body() -> None:
    """RFC 9110, 9.3.2."""
    data = serialise(ANSWER, now=0.0, connection=CLOSE, bodiless=True)
    assert data.endswith(b"Content-Length: 2\r\n\r\n")
