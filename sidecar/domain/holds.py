"""What replicas show each other of the units that their calls may still cost. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from sidecar.domain.quota import Quota


class HoldRoom(Enum):
    """Whether a hold fits beside those of all replicas."""

    SHORT = 0
    FREE = 1  # it does, and is taken
    UNKNOWN = 2  # no replica has had an answer of the platform a moment ago


@dataclass(frozen=True, slots=True)
class Standing:
    """How an org's resource stands in one process.

    `held` units are for others to leave free, `paid` units were counted and not used. `answered` is
    the platform's last answer, `age` seconds ago; None where it is not fresh.
    """

    held: int
    paid: int
    answered: Quota | None
    age: float


@dataclass(frozen=True, slots=True)
class Shared:
    """What all replicas together say to a hold; `quota` less what they hold where it is SHORT."""

    room: HoldRoom
    quota: Quota | None
