"""What a route does to a call, and whether a call may be believed to be the one that it looks like.

Not compiled with the routes: mypyc knows no field of the type `object`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import assert_never


class Rank(Enum):
    """What a route does, from the view of one who would like to evade it."""

    FREE = "free"
    METERED = "metered"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class Effect:
    """What a route does to a call; `charge`: how it is metered, equal for equal meters."""

    rank: Rank
    charge: object = None

    def may_stand_for(self, other: Effect, *, slash: bool = False, empty: bool = False) -> bool:
        """Whether this, of the canonical reading, may decide although another leads to `other`.

        Never where the other is stricter or charges otherwise, apart from slashes, which many
        clients send without thinking: one kept at the end (`slash`) does not lead away from a
        metered route, nor do repeated ones (`empty`: a segment is) from one meter to another.
        The spelling without them is weighed all the same.
        """
        match self.rank:
            case Rank.DENIED:
                return True
            case Rank.FREE:
                return other.rank is Rank.FREE
            case Rank.METERED:
                if other.rank is Rank.DENIED:
                    return slash
                return empty or other.rank is Rank.FREE or other == self
            case _:
                assert_never(self.rank)
