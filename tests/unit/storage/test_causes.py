"""Causes are words for a person, and hold no credential."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest
from redis import exceptions

from sidecar.storage.causes import LateError, cause_of


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (LateError(0.05), "no answer within 50 ms"),
        (
            exceptions.AuthenticationError("secret"),
            "the user name or password is refused (WRONGPASS)",
        ),
        (
            exceptions.AuthenticationError("Authentication required."),
            "it asks for a password, and the URL has none (NOAUTH)",
        ),
        (exceptions.ReadOnlyError("secret"), "it is a read-only replica (READONLY)"),
        (
            exceptions.ResponseError("x: MISCONF s"),
            "it cannot save, and so refuses writes (MISCONF)",
        ),
        (exceptions.ResponseError("NEWCODE secret"), "ResponseError"),
        (
            exceptions.ResponseError("DB index is out of"),
            "it does not have the database of the URL",
        ),
        (exceptions.ClusterError("TTL exhausted."), "a slot is moving to another node (ASK)"),
        (exceptions.InvalidResponse("secret"), "what answers there is not Redis"),
        (exceptions.ConnectionError("secret"), "it closed the connection"),
        (exceptions.TimeoutError("Timeout connecting to server"), "no connection within 5 s"),
        (exceptions.TimeoutError("Timeout reading from secret"), "no answer within 1 s"),
        (ssl.SSLError(1, "[SSL] secret"), "TLS fails (no reason given)"),
        (socket.gaierror(-2, "Name or service not known"), "its name does not resolve"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "secret"), "Connection refused"),
        (OSError("Multiple exceptions: [Errno 111] secret"), "Connection refused"),
        (OSError("secret"), "OSError"),
    ],
)
def test_a_cause_in_a_few_words(error: Exception, cause: str) -> None:
    """The text of an error is used only where it is ours."""
    assert cause_of(error) == cause


def test_the_first_error_of_a_chain_is_the_cause() -> None:
    """redis-py raises errors of its own for those of the system."""
    error = exceptions.ConnectionError("Error connecting to secret")
    error.__context__ = ConnectionRefusedError(errno.ECONNREFUSED, "secret")
    assert cause_of(error) == "Connection refused"


def test_a_refused_certificate_says_why() -> None:
    """A wrong name and an unknown authority are different mistakes."""
    error = ssl.SSLCertVerificationError()
    error.verify_message = "Hostname mismatch, certificate is not valid for 'cache'."
    assert cause_of(error).endswith("Hostname mismatch, certificate is not valid for 'cache'")
