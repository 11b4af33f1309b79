"""What can be wrong with a peer."""

from __future__ import annotations

import errno

import pytest

from sidecar.http1.errors import (
    ConnectFailedError,
    PeerFailure,
    ProtocolError,
    connect_failure,
)


def test_a_broken_protocol_is_a_bad_request() -> None:
    """Unless another status is named, the client is answered 400."""
    error = ProtocolError("a line ends in a bare LF")
    assert (error.status, error.detail) == (400, "a line ends in a bare LF")


def test_a_protocol_error_names_its_status() -> None:
    """What is too large or not known has its own status."""
    assert ProtocolError("the head is too large", 431).status == 431


def test_a_failed_connect_says_how() -> None:
    """The kind labels a metric, the text is for the log."""
    error = ConnectFailedError(PeerFailure.TLS, "a.example: certificate verify failed")
    assert (error.kind, str(error)) == (PeerFailure.TLS, "a.example: certificate verify failed")


def test_failures_are_words_for_a_metric() -> None:
    """Each kind is a plain word, and no two are alike."""
    words = [str(kind) for kind in PeerFailure]
    assert (len(set(words)), all(word.replace("_", "").isalpha() for word in words)) == (9, True)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(errno.ECONNREFUSED, "Connect call failed ('10.0.0.1', 443)"),
            "Connection refused",
        ),
        (OSError(errno.EHOSTUNREACH, "its name has no address"), "its name has no address"),
        (OSError("of no number"), "of no number"),
    ],
)
def test_a_failed_connection_is_named_in_the_system_s_words(error: OSError, said: str) -> None:
    """Asyncio's own say the same for every cause."""
    assert connect_failure(error) == said
