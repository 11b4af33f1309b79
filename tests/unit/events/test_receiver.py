from __future__ import annotations

import json
from typing import Any

import pytest

from sidecar.events.receiver import WINDOW, Receiver
from sidecar.model import Headers
from tests.fakes.clock import TurnedClock
from tests.unit.events.test_signature import SECRET, signature

MADE = "2025-10-09T08:53:20Z"  # when the turned clock starts


class Told:
    """The books and the observer, remembering what they were told."""

    def __init__(self) -> None:
        self.stale: list[tuple[Any, ...]] = []
        self.outcomes: list[str] = []

    def forget_denial(self, org_id: str, now: float, resource: str | None = None) -> None:
        self.stale.append(("denials", org_id, now, resource))

    def note_entitlement_event(self, org_id: str, now: float) -> None:
        self.stale.append(("rights", org_id, now))

    def event_received(self, outcome: str) -> None:
        self.outcomes.append(outcome)


class Scene:
    """A receiver, its clock, and what it told."""

    def __init__(self, secret: str | None = SECRET) -> None:
        self.told = Told()
        self.clock = TurnedClock()
        self.receiver = Receiver(self.told, self.clock, self.told, secret=lambda: secret)

    def send(
        self,
        event: str = "org.updated",
        *,
        fields: Headers | None = None,
        **members: Any,
    ) -> tuple[int, str]:
        """Deliver an event of org_acme; return status and outcome."""
        members = {"org_id": "org_acme", "created_at": MADE, **members}
        body = json.dumps(members).encode()
        given = headers(event, body) if fields is None else fields
        status, answer = self.receiver.receive(given, body)
        return status, json.loads(answer)["outcome"]


def headers(event: str, body: bytes) -> Headers:
    """The fields of a delivery."""
    return [(b"x-bizbasics-event", event.encode()), (b"x-bizbasics-signature", signature(body))]


@pytest.mark.parametrize(
    ("event", "stale"),
    [
        ("entitlement.updated", ("rights", "org_acme", 1_760_000_000.0)),
        ("org.updated", ("denials", "org_acme", 1_760_000_000.0, None)),
        ("member.removed", ("denials", "org_acme", 1_760_000_000.0, "seats")),
    ],
)
def test_an_event_drops_exactly_what_it_makes_stale(event: str, stale: tuple[Any, ...]) -> None:
    """Of that org alone."""
    scene = Scene()
    assert scene.send(event) == (200, "applied")
    assert scene.told.stale == [stale]


@pytest.mark.parametrize("event", ["webhook.test", "invoice.paid"])
def test_an_event_of_no_concern_succeeds_and_does_nothing(event: str) -> None:
    """Else the platform would disable the endpoint."""
    scene = Scene()
    assert scene.send(event) == (200, "ignored")
    assert scene.told.stale == []


def test_a_repeat_has_no_effect() -> None:
    """It succeeds, since the platform delivers at least once."""
    scene = Scene()
    assert [scene.send(), scene.send()] == [(200, "applied"), (200, "repeated")]
    assert len(scene.told.stale) == 1


def test_a_repeat_under_another_name_has_no_effect() -> None:
    """The name is not signed, so it makes no delivery new."""
    scene = Scene()
    scene.send("org.updated")
    assert scene.send("entitlement.granted") == (200, "repeated")


def test_a_replay_after_the_memory_is_too_old() -> None:
    """A body that says when it was made is refused after the window."""
    scene = Scene()
    scene.send()
    scene.clock.advance(WINDOW + 1)
    assert scene.send() == (400, "expired")
    scene.clock.advance(10 * WINDOW)
    assert scene.send() == (400, "expired")
    assert len(scene.told.stale) == 1


def test_an_event_of_the_future_is_refused() -> None:
    """Kept, it could be replayed for as long as it is ahead."""
    assert Scene().send(created_at="2025-10-09T08:55:00Z") == (400, "expired")


def test_an_event_that_says_no_time_is_taken() -> None:
    """The contract asks for none; its digest is remembered all the same."""
    scene = Scene()
    assert [scene.send(created_at=None)[1] for _ in range(2)] == ["applied", "repeated"]


def test_a_wrong_signature_drops_nothing() -> None:
    """401, whatever the body says."""
    scene = Scene()
    wrong = [(b"x-bizbasics-event", b"org.updated"), (b"x-bizbasics-signature", signature(b"x"))]
    assert scene.send(fields=wrong) == (401, "unsigned")
    assert scene.told.stale == []


def test_an_unsigned_repeat_of_an_unsigned_body_is_not_remembered() -> None:
    """A stranger cannot use up an event before it comes."""
    scene = Scene()
    scene.send(fields=[(b"x-bizbasics-event", b"org.updated")])
    assert scene.send() == (200, "applied")


def test_two_signatures_are_none() -> None:
    """They could be read in two ways."""
    body = json.dumps({"org_id": "org_acme", "created_at": MADE}).encode()
    twice = [*headers("org.updated", body), (b"x-bizbasics-signature", signature(body))]
    assert Scene().send(fields=twice) == (401, "unsigned")


def test_an_oversize_body_drops_nothing() -> None:
    """It was not even read."""
    scene = Scene()
    assert scene.receiver.receive([], None)[0] == 413
    assert scene.told.outcomes == ["too_large"]


def test_a_signed_body_that_is_no_event() -> None:
    """400: the platform's own mistake shows in its list of deliveries."""
    scene = Scene()
    assert scene.receiver.receive(headers("org.updated", b"[]"), b"[]")[0] == 400


def test_before_the_secret_is_known_a_delivery_is_asked_to_come_again() -> None:
    """503, which the platform repeats."""
    assert Scene(secret=None).send() == (503, "not_ready")


def test_each_outcome_is_told() -> None:
    """For the metric."""
    scene = Scene()
    scene.send()
    scene.send()
    assert scene.told.outcomes == ["applied", "repeated"]
