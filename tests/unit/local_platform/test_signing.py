"""Signing keys in the store."""

from __future__ import annotations

from collections.abc import Iterator

import jwt
import pytest

from sidecar.local_platform import Rejection
from sidecar.local_platform.signing import SigningKeys, make_signing_key
from sidecar.local_platform.store import Store
from tests.fakes.clock import TurnedClock

PEM = make_signing_key()


@pytest.fixture
def keys(clock: TurnedClock) -> Iterator[SigningKeys]:
    """A key set with one key."""
    store = Store(None)
    made = SigningKeys(store, clock)
    assert made.is_empty
    made.rotate(PEM, withdraw=False)
    yield made
    store.close()


def test_what_was_signed_is_verified(keys: SigningKeys, clock: TurnedClock) -> None:
    """The claims come back as they went in."""
    claims = {"user_id": "ann", "org_id": "org_acme", "exp": clock.time() + 1}

    assert keys.verify(keys.sign(claims)) == claims


def test_a_changed_byte_is_noticed(keys: SigningKeys, clock: TurnedClock) -> None:
    """Head, claims and signature alike."""
    token = keys.sign({"user_id": "ann", "org_id": "org_acme", "exp": clock.time() + 1})
    for part in range(3):
        pieces = token.split(".")
        middle = len(pieces[part]) // 2
        other = "A" if pieces[part][middle] != "A" else "B"
        pieces[part] = pieces[part][:middle] + other + pieces[part][middle + 1 :]
        with pytest.raises(Rejection):
            keys.verify(".".join(pieces))


def test_another_algorithm_is_refused(keys: SigningKeys, clock: TurnedClock) -> None:
    """A token signed with the public key as if it were a secret."""
    claims = {"user_id": "ann", "org_id": "org_acme", "exp": clock.time() + 1}
    kid = keys.published()[0].kid
    forged = jwt.encode(claims, "x" * 32, algorithm="HS256", headers={"kid": kid})

    with pytest.raises(Rejection):
        keys.verify(forged)


def test_no_private_part_is_published(keys: SigningKeys) -> None:
    """Modulus and exponent, no more."""
    assert set(keys.published()[0].model_dump()) == {"kty", "use", "alg", "kid", "n", "e"}
