"""What an event says, and what it makes stale here. Pure.

The signature is over the body alone: what only a field says is not proved. Event names are
published; the members of a body, beside those of `webhook.test`, are our choice [ours].
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

WANTED_EVENTS: Final = ("entitlement.*", "org.*", "member.*", "sandbox.*")
"""What is registered for [ours: families by `.*`]; the list of names is open (contract)."""

PUBLISHED_EVENTS: Final = ("org.created", "member.added", "entitlement.granted")
"""What is registered for where the platform knows no families."""

_EVENT: Final = ("event", "event_type", "type")
_TIME: Final = ("created_at", "triggered_at", "timestamp")
_SAME_TIME: Final = 60.0
"""Seconds by which times of one body may differ, such as those of the event and of an attempt."""

_LEAST_MILLISECONDS: Final = 1e11
_MOST_MILLISECONDS: Final = 1e14
"""A number below the first is in seconds, until the year 5138; between them in milliseconds."""

_NAME: Final = re.compile(r"[a-z0-9_]{1,64}(?:\.[a-z0-9_]{1,64}){0,4}")
_ORG: Final = re.compile(r"[\x21-\x7e]{1,256}")


class EventEffect(StrEnum):
    """What an event makes stale."""

    RIGHTS = "rights"  # all that is known of the org's limits
    DENIALS = "denials"  # that the org was refused
    SEATS = "seats"  # that the org was refused a seat
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class PlatformEvent:
    """An event as far as the sidecar cares.

    `at` is when it was made in Unix seconds, None where the body gives no time that can be read.
    `named`: the signed body gives the event's name too, not only the field.
    """

    name: str
    org_id: str | None
    at: float | None
    named: bool


class NotAnEventError(ValueError):
    """The body is none of an event; the text says why."""


def read_event(name: str, body: bytes) -> PlatformEvent:
    """Read a delivery whose signature is good; `name` is X-Bizbasics-Event.

    Raises NotAnEventError; also where the body names another event than the field does.
    """
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        raise NotAnEventError("the body is not JSON") from None
    if not isinstance(members, dict):
        raise NotAnEventError("the body is no JSON object")
    if not _NAME.fullmatch(name):
        raise NotAnEventError("X-Bizbasics-Event is no event's name")
    given = next((key for key in _EVENT if key in members), None)
    if given is not None and members[given] != name:
        raise NotAnEventError("the body is of another event than X-Bizbasics-Event says")
    return PlatformEvent(name, _org_of(members), _time_of(members), named=given is not None)


def effect_of(event: PlatformEvent) -> EventEffect:
    """Say what an event makes stale; what is not known makes nothing stale."""
    if event.org_id is None:
        return EventEffect.NOTHING
    match event.name.partition(".")[0]:
        case "entitlement":
            return EventEffect.RIGHTS
        case "org" | "sandbox":  # a plan that changed; counts that were set back
            return EventEffect.DENIALS
        case "member":  # a seat was taken or came free
            return EventEffect.SEATS
        case _:
            return EventEffect.NOTHING


def _org_of(members: dict[str, object]) -> str | None:
    data = members.get("data")
    for place in (members, data if isinstance(data, dict) else {}):
        found = place.get("org_id")
        if isinstance(found, str) and _ORG.fullmatch(found):
            return found
    return None


def _time_of(members: dict[str, object]) -> float | None:
    """Return the earliest of a body's times; None unless all can be read and mean one moment."""
    times = [_moment(members[key]) for key in _TIME if members.get(key) is not None]
    readable = [at for at in times if at is not None]
    if not readable or len(readable) < len(times):
        return None
    earliest = min(readable)
    return earliest if max(readable) - earliest <= _SAME_TIME else None


def _moment(given: object) -> float | None:
    """Read a time: ISO 8601 with its offset from UTC, or Unix seconds or milliseconds.

    A time without an offset is not read: a guess that is hours off would prove an old event new.
    """
    if isinstance(given, str):
        try:
            at = datetime.fromisoformat(given.upper())
            return at.timestamp() if at.tzinfo is not None else None
        except (ValueError, OverflowError):
            return None
    if isinstance(given, bool) or not isinstance(given, int | float):
        return None
    if 0 < given < _LEAST_MILLISECONDS:
        return float(given)
    return given / 1000 if _LEAST_MILLISECONDS <= given < _MOST_MILLISECONDS else None
