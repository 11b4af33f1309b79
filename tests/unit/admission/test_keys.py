"""Which calls share a key: architecture, Keys; conformance 33."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.admission.idempotency import (
    DerivedKey,
    derived_key_of,
    key_of,
    new_key_of,
    scope_of,
)
from sidecar.domain.model import AttemptEnd, RequestIdOrigin
from tests.unit.admission.scene import NONCE, Scene

FIELDS = {
    "product": "p",
    "org_id": "o",
    "user_id": "u",
    "route": "r",
    "method": "POST",
    "path": "/x",
    "resource": "ai_calls",
    "request_id": "id",
}


def test_a_made_id_is_a_key_of_its_process() -> None:
    """Another process may make the same ID, and never the same key."""
    keys = {new_key_of(each, nonce) for each in ("a-1", "a-2") for nonce in (b"n" * 16, b"m" * 16)}
    assert len(keys) == 4
    assert {len(key) for key in keys} == {64}


@pytest.mark.parametrize("field", sorted(FIELDS))
def test_each_field_makes_another_scope(field: str) -> None:
    """A field left out of the digest would let one call pay for another."""
    assert scope_of(**FIELDS) != scope_of(**{**FIELDS, field: "other"})


def test_moving_text_between_fields_makes_another_scope() -> None:
    """Concatenation alone would read `ab`+`c` as `a`+`bc`."""
    one = scope_of(**{**FIELDS, "org_id": "ab", "user_id": "c"})
    other = scope_of(**{**FIELDS, "org_id": "a", "user_id": "bc"})
    assert one != other


def test_text_that_is_no_unicode_still_has_a_key() -> None:
    """A lone surrogate from a token or a path must not be an exception."""
    assert len(key_of(scope_of(**{**FIELDS, "path": "/\udc80"}), 0, b"", query="", amount=1)) == 64


def test_attempt_nonce_query_amount_and_purpose_make_other_keys() -> None:
    """One scope, many attempts; one ID, many prices; one process, many keys."""
    scope = scope_of(**FIELDS)
    keys = {
        key_of(scope, 0, b"", query="", amount=1),
        key_of(scope, 1, b"", query="", amount=1),
        key_of(scope, 0, b"n" * 32, query="", amount=1),
        key_of(scope, 0, b"", query="a", amount=1),
        key_of(scope, 0, b"", query="", amount=2),
    }
    assert len(keys) == 5


@pytest.mark.parametrize("origin", sorted(RequestIdOrigin))
async def test_the_same_request_id_a_hundred_times_at_once_is_charged_a_hundred_times(
    origin: RequestIdOrigin,
) -> None:
    """As many charges as executions, whoever chose the ID."""
    scene = Scene(limit=1000)
    decisions = await asyncio.gather(
        *(
            scene.decide(request_id="same" if origin != "generated" else None, origin=origin)
            for _ in range(100)
        )
    )
    assert all(decision.permit is not None for decision in decisions)
    assert sum(scene.store.used.values()) == 100


async def test_the_same_client_id_in_a_row_is_charged_each_time() -> None:
    """A client cannot choose a request ID that makes calls free."""
    scene = Scene()
    for _ in range(5):
        decision = await scene.decide(request_id="same")
        assert decision.permit is not None
        scene.engine.attempt_ended(decision.permit, AttemptEnd.DONE)
    assert sum(scene.store.used.values()) == 5


async def test_two_replicas_derive_one_key_for_a_trusted_id_and_two_for_a_clients() -> None:
    """A trusted proxy's retry at another replica is not counted twice; a client's is."""
    keys: dict[RequestIdOrigin, set[str]] = {}
    for origin in (RequestIdOrigin.TRUSTED, RequestIdOrigin.CLIENT):
        for nonce in (b"a" * 32, b"b" * 32):
            decision = await Scene(nonce=nonce).decide(request_id="id", origin=origin)
            assert decision.charge is not None
            keys.setdefault(origin, set()).add(decision.charge.key)
    assert {origin.value: len(found) for origin, found in keys.items()} == {
        "trusted": 1,
        "client": 2,
    }


async def test_a_shared_count_gives_each_replica_its_own_attempt() -> None:
    """With Redis, even a trusted ID sent to two replicas is charged for each execution."""

    class CountingAttempts:
        problem = ""

        def __init__(self) -> None:
            self.count = -1

        async def next(self, scope: bytes) -> int | None:
            self.count += 1
            return self.count

    attempts = CountingAttempts()
    keys = set()
    for _ in range(2):
        scene = Scene(attempts=attempts)
        decision = await scene.decide(request_id="id", origin=RequestIdOrigin.TRUSTED)
        assert decision.charge is not None
        keys.add(decision.charge.key)
    assert len(keys) == 2


async def test_a_generated_id_holds_no_claim() -> None:
    """It is seen once in its life: remembering it would only cost memory."""
    scene = Scene()
    await scene.decide()
    assert len(scene.books.replays) == 0


def test_no_two_keys_that_follow_from_a_call_are_the_same() -> None:
    """By use, call, amount or serial, and process; the same are the same key again."""
    keys = {
        derived_key_of(use, call, number, nonce)
        for use in DerivedKey
        for call in ("a", "b")
        for number in (4, 5)
        for nonce in (NONCE, b"other")
    }
    assert len(keys) == 8 * len(DerivedKey)
    assert derived_key_of(DerivedKey.OWED, "a", 5, NONCE) in keys
