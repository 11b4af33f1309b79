"""Causes are words for a person, and hold no credential."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest

from sidecar.storage.causes import LinkError, cause_of
from sidecar.storage.resp import NotRedisError, ReplyError


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (LinkError("no connection within 5 s"), "no connection within 5 s"),
        (ReplyError("WRONGPASS secret"), "the user name or password is refused (WRONGPASS)"),
        (ReplyError("NEWCODE secret"), "it answers with an error (NEWCODE)"),
        (NotRedisError("no count"), "what answers there is not Redis"),
        (ssl.SSLError(1, "[SSL] secret"), "TLS fails (no reason given)"),
        (socket.gaierror(-2, "Name or service not known"), "its name does not resolve"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "secret"), "Connection refused"),
        (ConnectionResetError(), "it closed the connection"),
        (EOFError(), "it closed the connection"),
        (TimeoutError(), "no answer in time"),
        (OSError("secret"), "OSError"),
    ],
)
def test_a_cause_in_a_few_words(error: Exception, cause: str) -> None:
    """The text of an error is used only where it is ours."""
    assert cause_of(error) == cause


def test_a_refused_certificate_says_why() -> None:
    """A wrong name and an unknown authority are different mistakes."""
    error = ssl.SSLCertVerificationError()
    error.verify_message = "Hostname mismatch, certificate is not valid for 'cache'."
    assert cause_of(error).endswith("Hostname mismatch, certificate is not valid for 'cache'")
