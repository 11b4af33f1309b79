from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.events.signature import is_signed, is_well_formed

SECRET = "whsec_0123"
BODY = b'{"event":"org.updated"}'


def signature(body: bytes = BODY, secret: str = SECRET) -> bytes:
    """Sign as the platform does."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}".encode()


def test_the_platforms_own_signature() -> None:
    """Over the raw body."""
    assert is_signed(BODY, signature(), SECRET)


@pytest.mark.parametrize(
    "given_",
    [
        b"",
        b"sha256=",
        signature(secret="whsec_other"),
        signature(BODY + b" "),
        signature().removeprefix(b"sha256="),
        signature().replace(b"sha256", b"sha1"),
        signature().upper(),
        signature() + b"0",
        b" " + signature(),
        signature() + b", " + signature(),
        b"sha256=" + b"\xff" * 64,
        b"sha256=" + b"0" * 64,
    ],
)
def test_anything_else_is_none(given_: bytes) -> None:
    """Of another secret, body, form or length."""
    assert not is_signed(BODY, given_, SECRET)


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_no_bytes_break_it(body: bytes, field: bytes) -> None:
    """And none are a signature by accident."""
    assert not is_signed(body, field, SECRET)


@pytest.mark.parametrize("given_", [signature(), signature(secret="other"), b"sha256=" + b"0" * 64])
def test_what_could_be_a_signature(given_: bytes) -> None:
    """By its form, which costs no body."""
    assert is_well_formed(given_)


@pytest.mark.parametrize(
    "given_", [b"", b"sha256=", signature() + b"\n", signature().upper(), signature()[7:]]
)
def test_what_cannot_be_one(given_: bytes) -> None:
    """`sha256=` and 64 hex digits in lower case, as the contract writes them."""
    assert not is_well_formed(given_)
