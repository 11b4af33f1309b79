"""What says who is calling: tokens, their claims, and the fields that carry them."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from sidecar.domain.credentials import BearerSource, CookieSource, IdentityFailure
from sidecar.domain.model import Identity
from sidecar.identity.credentials import find_credential
from sidecar.identity.tokens import SessionTrust, Trust
from tests.unit.identity.mint import NOW, SECRET, compact, signer_hs256, signing_key, trust, verify

_SESSION: Final = SessionTrust(SECRET)
_SOURCES: Final = (
    CookieSource("bb_at"),
    BearerSource(),
    CookieSource("acme-notes_session", SECRET),
)


@lru_cache
def _platform() -> Trust:
    return trust(signing_key("one"))


def _check(identity: Identity) -> None:
    assert identity.org_id
    assert identity.org_id.isprintable()
    assert identity.expires_at > NOW - 61


def token(data: bytes) -> None:
    """Whatever comes is verified or a failure; with the platform's new key, always a failure."""
    assert isinstance(verify(data, _platform(), NOW), IdentityFailure)
    verified = verify(data, _SESSION, NOW)
    if isinstance(verified, Identity):
        _check(verified)


def claims(data: bytes) -> None:
    """A payload that was truly signed still has to make sense."""
    signed = compact({"alg": "HS256"}, data, signer_hs256(SECRET))
    verified = verify(signed, _SESSION, NOW)
    if isinstance(verified, Identity):
        _check(verified)


def credentials(data: bytes) -> None:
    """Lines of Cookie and Authorization give one token, or the reason why there is none."""
    headers = []
    for line in data.split(b"\n"):
        name, _, value = line.partition(b":")
        headers.append((name.lower(), value.strip(b" \t")))
    found = find_credential(headers, _SOURCES)
    if isinstance(found, IdentityFailure):
        assert found in {IdentityFailure.MISSING, IdentityFailure.AMBIGUOUS}
    else:
        source, value = found
        assert source in _SOURCES
        assert value or isinstance(source, BearerSource)  # empty there: malformed, not absent
        assert any(value in line for _, line in headers)
