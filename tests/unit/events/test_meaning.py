from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.events.meaning import (
    EventEffect,
    NotAnEventError,
    PlatformEvent,
    effect_of,
    read_event,
)


def body(**members: Any) -> bytes:
    """A body with these members."""
    return json.dumps(members).encode()


@pytest.mark.parametrize(
    ("name", "effect"),
    [
        ("entitlement.granted", EventEffect.RIGHTS),
        ("entitlement.revoked", EventEffect.RIGHTS),
        ("org.updated", EventEffect.DENIALS),
        ("sandbox.reset", EventEffect.DENIALS),
        ("member.added", EventEffect.SEATS),
        ("webhook.test", EventEffect.NOTHING),
        ("invoice.paid", EventEffect.NOTHING),
        ("entitlements.granted", EventEffect.NOTHING),
    ],
)
def test_each_family_makes_stale_what_it_changed(name: str, effect: EventEffect) -> None:
    """And an unknown one nothing: the list of names is open."""
    assert effect_of(read_event(name, body(org_id="org_acme"))) is effect


def test_an_event_of_no_org_makes_nothing_stale() -> None:
    """There is nobody to ask about."""
    assert effect_of(read_event("org.updated", body(event="org.updated"))) is EventEffect.NOTHING


@pytest.mark.parametrize(
    "members",
    [{"org_id": "org_acme"}, {"data": {"org_id": "org_acme"}}, {"org_id": "org_acme", "data": 1}],
)
def test_the_org_stands_in_one_of_two_places(members: dict[str, Any]) -> None:
    """The contract publishes neither."""
    assert read_event("org.updated", body(**members)).org_id == "org_acme"


@pytest.mark.parametrize("org_id", ["", "a b", "x" * 257, "é", 7, None, ["org_acme"]])
def test_an_org_that_is_none(org_id: object) -> None:
    """Taken for none."""
    assert read_event("org.updated", body(org_id=org_id)).org_id is None


@pytest.mark.parametrize(
    ("when", "at"),
    [
        ("2025-10-09T08:53:20Z", 1_760_000_000.0),
        ("2025-10-09T10:53:20+02:00", 1_760_000_000.0),
        (1_760_000_000, 1_760_000_000.0),
        (1_760_000_000.25, 1_760_000_000.25),
        (1_760_000_000_250, 1_760_000_000.25),
        ("2025-10-09T08:53:20", None),
        ("1760000000", None),
        ("yesterday", None),
        (True, None),
        (0, None),
        (-1_760_000_000, None),
        (1_760_000_000_000_000, None),
        (10**400, None),
        ([1_760_000_000], None),
        (None, None),
    ],
)
def test_the_time_it_was_made(when: object, at: float | None) -> None:
    """ISO 8601 with an offset, or Unix seconds or milliseconds; anything else says no time."""
    assert read_event("org.updated", body(created_at=when)).at == at


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e400"])
def test_a_number_that_is_no_time(number: bytes) -> None:
    """Python reads these, and JSON does not have them."""
    assert read_event("org.updated", b'{"timestamp":%b}' % number).at is None


@pytest.mark.parametrize(
    ("times", "at"),
    [
        ({"created_at": 1_760_000_000, "triggered_at": "2025-10-09T08:53:25Z"}, 1_760_000_000.0),
        ({"created_at": 1_760_000_005, "timestamp": 1_760_000_000}, 1_760_000_000.0),
        ({"created_at": None, "timestamp": 1_760_000_000}, 1_760_000_000.0),
        ({"created_at": 1_760_000_000, "timestamp": 1_760_000_061}, None),
        ({"created_at": 1_700_000_000, "timestamp": 1_760_000_000}, None),
        ({"created_at": 1_760_000_000, "timestamp": "soon"}, None),
    ],
)
def test_several_times_of_one_body(times: dict[str, Any], at: float | None) -> None:
    """The earliest counts; where they are not of one moment, or one is unreadable, none does."""
    assert read_event("org.updated", body(**times)).at == at


@pytest.mark.parametrize(
    ("members", "named"),
    [({}, False), ({"data": {"event": "org.updated"}}, False), ({"type": "org.updated"}, True)],
)
def test_whether_the_signed_body_names_the_event(members: dict[str, Any], *, named: bool) -> None:
    """The field is not signed: another name could stand there."""
    assert read_event("org.updated", body(**members)).named is named


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("org.updated", b""),
        ("org.updated", b"[]"),
        ("org.updated", b"[" * 100_000),
        ("", b"{}"),
        ("Org.Updated", b"{}"),
        ("org.updated\n", b"{}"),
        ("x" * 400, b"{}"),
        ("entitlement.granted", body(event="member.added")),
        ("entitlement.granted", body(event=None)),
    ],
)
def test_what_is_no_event(name: str, content: bytes) -> None:
    """Also one whose field claims more than the signed body says."""
    with pytest.raises(NotAnEventError):
        read_event(name, content)


@given(st.text(max_size=20), st.binary(max_size=60))
def test_any_delivery_is_an_event_or_none(name: str, content: bytes) -> None:
    """No other error comes of it."""
    try:
        assert isinstance(read_event(name, content), PlatformEvent)
    except NotAnEventError:
        return
