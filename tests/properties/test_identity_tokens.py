"""No token but the one that was signed is ever verified, and none makes the reader fall over."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.credentials import IdentityFailure
from sidecar.domain.model import Identity
from sidecar.identity.claims import read_claims
from sidecar.identity.jws import decode_segment, read_object
from sidecar.identity.tokens import LEEWAY, PlatformTrust, SessionTrust
from tests.unit.identity.mint import (
    CLAIMS,
    NOW,
    SECRET,
    coded,
    compact,
    mint,
    mint_session,
    signer_hs256,
    signing_key,
    trust,
    verify,
)


@lru_cache
def _platform() -> tuple[PlatformTrust, bytes]:
    key = signing_key("one")
    return trust(key), mint(key)


@given(data=st.data())
def test_one_changed_byte_is_refused(data: st.DataObject) -> None:
    """A token of the platform's with any one byte changed is refused."""
    trusted, token = _platform()
    place = data.draw(st.integers(0, len(token) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b != token[place]))
    changed = token[:place] + bytes([byte]) + token[place + 1 :]
    assert isinstance(verify(changed, trusted, NOW), IdentityFailure)


@given(data=st.data())
def test_one_lost_or_added_byte_is_refused(data: st.DataObject) -> None:
    """A session with a byte taken out or put in anywhere is refused."""
    token = mint_session()
    place = data.draw(st.integers(0, len(token) - 1))
    added = data.draw(st.binary(max_size=1))
    kept = place if added else place + 1
    changed = token[:place] + added + token[kept:]
    assert isinstance(verify(changed, SessionTrust(SECRET), NOW), IdentityFailure)


@given(token=st.binary(max_size=200) | st.lists(st.binary(max_size=40), max_size=5).map(b".".join))
def test_nothing_raises(token: bytes) -> None:
    """Random bytes are a failure, never an exception."""
    trusted, _ = _platform()
    assert isinstance(verify(token, trusted, NOW), IdentityFailure)
    assert isinstance(verify(token, SessionTrust(SECRET), NOW), IdentityFailure)


@given(header=st.binary(max_size=60), payload=st.binary(max_size=60))
def test_signed_nonsense_is_refused(header: bytes, payload: bytes) -> None:
    """Random bytes that are rightly encoded and signed are a failure all the same."""
    token = compact(header, payload, signer_hs256(SECRET))
    assert isinstance(verify(token, SessionTrust(SECRET), NOW), IdentityFailure)


@given(data=st.binary(max_size=60))
def test_base64url_round_trip(data: bytes) -> None:
    """What is encoded without padding decodes to itself."""
    assert decode_segment(coded(data)) == data


@given(segment=st.binary(max_size=20))
def test_base64url_has_one_spelling(segment: bytes) -> None:
    """What decodes at all is the only spelling of what it decodes to."""
    data = decode_segment(segment)
    assert data is None or coded(data) == segment


@given(data=st.binary(max_size=60))
def test_json_never_raises(data: bytes) -> None:
    """Random bytes are an object or nothing."""
    value = read_object(data)
    assert value is None or isinstance(value, dict)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(changes=st.dictionaries(st.sampled_from([*CLAIMS, "nbf", "iat", "quotas"]), json_values))
def test_claims_fit_into_headers(changes: dict[str, Any]) -> None:
    """Whatever the claims hold, what is told upstream is ASCII without control bytes."""
    identity = read_claims({**CLAIMS, **changes}, None)
    if isinstance(identity, Identity):
        assert identity.org_id
        for text in (identity.org_id, identity.user_id, identity.role, identity.plan):
            assert text.isascii()
            assert text == text.strip()
            assert not text or text.isprintable()


@given(begins=st.none() | st.floats(0, 1e9), ends=st.floats(0, 1e9), now=st.floats(0, 2e9))
def test_valid_from_begin_to_end(begins: float | None, ends: float, now: float) -> None:
    """A token is valid within its times and the leeway, and at no other time."""
    token = mint_session(exp=ends, nbf=begins)
    outcome = verify(token, SessionTrust(SECRET), now)
    begun = begins is None or now >= begins - LEEWAY
    assert isinstance(outcome, Identity) == (begun and now < ends + LEEWAY)
