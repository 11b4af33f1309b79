"""Answers to webhook deliveries. Pure."""

from __future__ import annotations

from typing import Final

from sidecar.answers.writer import JSON, NO_STORE, OwnAnswer
from sidecar.domain.deliveries import DeliveryOutcome

_STATUS: Final = {
    DeliveryOutcome.APPLIED: 200,
    DeliveryOutcome.IGNORED: 200,
    DeliveryOutcome.REPEATED: 200,
    DeliveryOutcome.EXPIRED: 400,
    DeliveryOutcome.UNSIGNED: 401,
    DeliveryOutcome.MALFORMED: 400,
    DeliveryOutcome.BROKEN: 400,
    DeliveryOutcome.TOO_LARGE: 413,
    DeliveryOutcome.TOO_SLOW: 408,
    DeliveryOutcome.CROWDED_OUT: 503,
    DeliveryOutcome.NO_ROOM: 503,
    DeliveryOutcome.NOT_READY: 503,
    DeliveryOutcome.FAILED: 500,
}
"""Under 300 is success to the platform (contract, Webhooks)."""

_PASSING: Final = frozenset(
    {DeliveryOutcome.CROWDED_OUT, DeliveryOutcome.NO_ROOM, DeliveryOutcome.NOT_READY}
)
_FIELDS: Final = (JSON, NO_STORE)
_RETRY_FIELDS: Final = (*_FIELDS, (b"Retry-After", b"1"))


def answer_delivery(outcome: DeliveryOutcome) -> OwnAnswer:
    """Make the answer to a delivery."""
    fields = _RETRY_FIELDS if outcome in _PASSING else _FIELDS
    return OwnAnswer(_STATUS[outcome], fields, b'{"outcome": "%b"}' % outcome.value.encode())
