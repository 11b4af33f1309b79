"""What an event says, and what it makes stale here. Pure.

The signature is over the body alone, so the body decides wherever it speaks. Event names are
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
_NAME: Final = re.compile(r"[a-z0-9_]{1,64}(?:\.[a-z0-9_]{1,64}){0,4}")
_ORG: Final = re.compile(r"[\x21-\x7e]{1,256}")


class Effect(StrEnum):
    """What an event makes stale."""

    RIGHTS = "rights"  # all that is known of the org's limits
    DENIALS = "denials"  # that the org was refused
    SEATS = "seats"  # that the org was refused a seat
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Event:
    """An event as far as the sidecar cares. `at` is Unix seconds, None where it does not say."""

    name: str
    org_id: str | None
    at: float | None


class NotAnEventError(ValueError):
    """The body is none of an event; the text says why."""


def read_event(name: str, body: bytes) -> Event:
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
    told = next((members[key] for key in _EVENT if key in members), name)
    if told != name:
        raise NotAnEventError("the body is of another event than X-Bizbasics-Event says")
    return Event(name, _org_of(members), _time_of(members))


def effect_of(event: Event) -> Effect:
    """Say what an event makes stale; what is not known makes nothing stale."""
    if event.org_id is None:
        return Effect.NOTHING
    match event.name.partition(".")[0]:
        case "entitlement":
            return Effect.RIGHTS
        case "org" | "sandbox":  # a plan that changed; counts that were set back
            return Effect.DENIALS
        case "member":  # a seat was taken or came free
            return Effect.SEATS
        case _:
            return Effect.NOTHING


def _org_of(members: dict[str, object]) -> str | None:
    data = members.get("data")
    for place in (members, data if isinstance(data, dict) else {}):
        found = place.get("org_id")
        if isinstance(found, str) and _ORG.fullmatch(found):
            return found
    return None


def _time_of(members: dict[str, object]) -> float | None:
    for key in _TIME:
        found = members.get(key)
        if isinstance(found, str):
            try:
                at = datetime.fromisoformat(found.upper())
                return at.timestamp() if at.tzinfo is not None else None
            except (ValueError, OverflowError):
                return None
    return None
