from __future__ import annotations

import json
from typing import Any

import pytest

from sidecar.domain.deliveries import DeliveryOutcome
from sidecar.domain.model import Headers
from sidecar.events.receiver import WINDOW, Receiver
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

    def note_entitlement_event(self, org_id: str, made_at: float) -> None:
        self.stale.append(("rights", org_id, made_at))

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
    ) -> str:
        """Deliver an event of org_acme; return the outcome."""
        members = {"event": event, "org_id": "org_acme", "created_at": MADE, **members}
        body = json.dumps(members).encode()
        given = headers(event, body) if fields is None else fields
        return self.receiver.receive(given, body)


def headers(event: str, body: bytes) -> Headers:
    """The fields of a delivery."""
    return [(b"x-bizbasics-event", event.encode()), (b"x-bizbasics-signature", signature(body))]


ASKED_AGAIN = ("denials", "org_acme", 1_760_000_000.0, None)
BELIEVED = ("rights", "org_acme", 1_760_000_000.0)


@pytest.mark.parametrize(
    ("event", "stale"),
    [
        ("entitlement.updated", [ASKED_AGAIN, BELIEVED]),
        ("org.updated", [ASKED_AGAIN]),
        ("member.removed", [("denials", "org_acme", 1_760_000_000.0, "seats")]),
    ],
)
def test_an_event_drops_exactly_what_it_makes_stale(
    event: str, stale: list[tuple[Any, ...]]
) -> None:
    """Of that org alone."""
    scene = Scene()
    assert scene.send(event) == "applied"
    assert scene.told.stale == stale


@pytest.mark.parametrize("when", [None, "", "yesterday", "2025-10-09T08:53:20", [], 1e18])
def test_an_entitlement_event_without_a_time_only_makes_the_platform_be_asked(when: Any) -> None:
    """A captured one could be sent again after a restart, in any outage to come."""
    scene = Scene()
    assert scene.send("entitlement.granted", created_at=when) == "applied"
    assert scene.told.stale == [ASKED_AGAIN]


def test_an_entitlement_event_that_only_the_field_names_ends_no_doubt() -> None:
    """The field is not signed: any signed body could be sent again as such an event."""
    scene = Scene()
    body = json.dumps({"org_id": "org_acme", "created_at": MADE}).encode()
    assert scene.receiver.receive(headers("entitlement.granted", body), body) == "applied"
    assert scene.told.stale == [ASKED_AGAIN]


@pytest.mark.parametrize(
    ("made", "counts_from"),
    [("2025-10-09T08:50:00Z", -200.0), ("2025-10-09T08:54:10Z", 0.0)],
    ids=["before", "ahead, within the skew"],
)
def test_an_event_counts_from_when_it_was_made_and_never_from_later_than_now(
    made: str, counts_from: float
) -> None:
    """Limits heard since then are not outweighed by it."""
    scene = Scene()
    scene.send("entitlement.granted", created_at=made)
    assert scene.told.stale[1] == ("rights", "org_acme", 1_760_000_000.0 + counts_from)


@pytest.mark.parametrize("when", [1_760_000_000 - 301, (1_760_000_000 - 301) * 1000])
def test_a_time_that_is_a_number_grows_old_too(when: int) -> None:
    """In seconds or milliseconds."""
    assert Scene().send("entitlement.granted", created_at=when) == "expired"


@pytest.mark.parametrize("event", ["webhook.test", "invoice.paid"])
def test_an_event_of_no_concern_succeeds_and_does_nothing(event: str) -> None:
    """Else the platform would disable the endpoint."""
    scene = Scene()
    assert scene.send(event) == "ignored"
    assert scene.told.stale == []


def test_a_repeat_has_no_effect() -> None:
    """It succeeds, since the platform delivers at least once."""
    scene = Scene()
    assert [scene.send(), scene.send()] == ["applied", "repeated"]
    assert len(scene.told.stale) == 1


def test_a_body_is_remembered_for_its_time_alone() -> None:
    """Longer than the window of one that says when it was made; at most so many."""
    scene = Scene()
    found = []
    for seconds in (0.0, 1.0, 598.0, 1.0):
        scene.clock.advance(seconds)
        found.append(scene.send(created_at=None))
    assert found == ["applied", "repeated", "repeated", "applied"]
    assert scene.receiver._seen.maxsize == 10_000


def test_a_repeat_under_another_name_has_no_effect() -> None:
    """The field is not signed, so it makes no delivery new."""
    scene = Scene()
    body = json.dumps({"org_id": "org_acme", "created_at": MADE}).encode()
    scene.receiver.receive(headers("org.updated", body), body)
    assert scene.receiver.receive(headers("entitlement.granted", body), body) == "repeated"


def test_a_replay_after_the_memory_is_too_old() -> None:
    """A body that says when it was made is refused after the window."""
    scene = Scene()
    scene.send()
    scene.clock.advance(WINDOW + 1)
    assert scene.send() == "expired"
    scene.clock.advance(10 * WINDOW)
    assert scene.send() == "expired"
    assert len(scene.told.stale) == 1


def test_an_event_of_the_future_is_refused() -> None:
    """Kept, it could be replayed for as long as it is ahead."""
    assert Scene().send(created_at="2025-10-09T08:55:00Z") == "expired"


def test_an_event_that_says_no_time_is_taken() -> None:
    """The contract asks for none; its digest is remembered all the same."""
    scene = Scene()
    assert [scene.send(created_at=None) for _ in range(2)] == ["applied", "repeated"]


def test_a_wrong_signature_drops_nothing() -> None:
    """401, whatever the body says."""
    scene = Scene()
    wrong = [(b"x-bizbasics-event", b"org.updated"), (b"x-bizbasics-signature", signature(b"x"))]
    assert scene.send(fields=wrong) == "unsigned"
    assert scene.told.stale == []


def test_an_unsigned_repeat_of_an_unsigned_body_is_not_remembered() -> None:
    """A stranger cannot use up an event before it comes."""
    scene = Scene()
    scene.send(fields=[(b"x-bizbasics-event", b"org.updated")])
    assert scene.send() == "applied"


def test_two_signatures_are_none() -> None:
    """They could be read in two ways."""
    body = json.dumps({"org_id": "org_acme", "created_at": MADE}).encode()
    twice = [*headers("org.updated", body), (b"x-bizbasics-signature", signature(body))]
    assert Scene().send(fields=twice) == "unsigned"


def test_an_oversize_body_drops_nothing() -> None:
    """It was not even read."""
    scene = Scene()
    assert scene.receiver.receive([], None) == "too_large"


def test_a_signed_body_that_is_no_event() -> None:
    """400: the platform's own mistake shows in its list of deliveries."""
    scene = Scene()
    assert scene.receiver.receive(headers("org.updated", b"[]"), b"[]") == "malformed"


def test_before_the_secret_is_known_a_delivery_is_asked_to_come_again() -> None:
    """503, which the platform repeats."""
    assert Scene(secret=None).send() == "not_ready"


@pytest.mark.parametrize(
    "field",
    [b"", b"sha256=", b"sha256=" + b"0" * 63, b"sha256=" + b"A" * 64, b"sha1=" + b"0" * 64],
)
def test_what_no_body_can_make_a_delivery_is_refused_before_the_body(field: bytes) -> None:
    """A stranger's body costs nothing."""
    scene = Scene()
    refused = scene.receiver.refuse_unread([(b"x-bizbasics-signature", field)])
    assert refused == "unsigned"


def test_a_head_that_could_be_a_deliverys_is_read_on() -> None:
    """Whether the signature is right only the body tells."""
    scene = Scene()
    assert scene.receiver.refuse_unread(headers("org.updated", b"x")) is None


def test_before_the_secret_is_known_no_body_is_read() -> None:
    """None could be judged."""
    refused = Scene(secret=None).receiver.refuse_unread(headers("org.updated", b"x"))
    assert refused == "not_ready"


@pytest.mark.parametrize("outcome", DeliveryOutcome)
def test_each_outcome_is_counted(outcome: DeliveryOutcome) -> None:
    """For the metric, by its own word."""
    scene = Scene()
    scene.receiver.answered(outcome)
    assert scene.told.outcomes == [outcome.value]
