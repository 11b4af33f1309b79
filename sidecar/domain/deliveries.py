"""What became of a webhook delivery, in the words that the sender and the metric get."""

from __future__ import annotations

from enum import StrEnum


class DeliveryOutcome(StrEnum):
    """The `outcome` in the answer to a delivery, and of `webhook_events_total`."""

    APPLIED = "applied"
    IGNORED = "ignored"
    REPEATED = "repeated"
    EXPIRED = "expired"
    UNSIGNED = "unsigned"
    MALFORMED = "malformed"
    BROKEN = "broken"  # its framing is not HTTP
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    CROWDED_OUT = "crowded_out"
    NO_ROOM = "no_room"
    NOT_READY = "not_ready"
    FAILED = "failed"  # a fault of our own
