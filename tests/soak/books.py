"""The end of a soak: every book beside every other, per org and resource, to the unit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

Slot = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """One org's resource. All in units.

    `charged` by the platform; `executed` by the product; `lost` on the wire behind the sidecar;
    `in_hand` of the sidecar at its end, as credits and leases.
    """

    org: str
    resource: str
    limit: int
    charged: int
    executed: int
    lost: int
    in_hand: int

    @property
    def uncounted(self) -> int:
        """Units that passed and were never counted, or less than nought: counted for nothing."""
        return self.executed + self.lost + self.in_hand - self.charged

    @property
    def difference(self) -> int:
        """What nothing explains.

        Uncounted units are explained where the limit was reached, by what passed while the platform
        did not answer: it refused them when it was told. Those calls cost one unit each.
        """
        if self.uncounted > 0 and 0 <= self.limit == self.charged:
            return 0
        return self.uncounted


def rows(
    limits: dict[Slot, int],
    charged: Counter[Slot],
    executed: Counter[Slot],
    lost: Counter[Slot],
    in_hand: Counter[Slot],
) -> list[Row]:
    """Put the books side by side."""
    slots = sorted(limits | charged | executed | lost | in_hand)
    return [
        Row(*slot, limits.get(slot, -1), charged[slot], executed[slot], lost[slot], in_hand[slot])
        for slot in slots
    ]


def table(found: list[Row]) -> str:
    """Write the books for people."""
    names = ("org", "resource", "limit", "charged", "executed", "lost", "in hand", "uncounted", "?")
    lines = [
        (row.org, row.resource, row.limit, row.charged, row.executed, row.lost, row.in_hand,
         row.uncounted, row.difference)
        for row in found
    ]  # fmt: skip
    shown = [tuple(map(str, line)) for line in (names, *lines)]
    widths = [max(len(line[at]) for line in shown) for at in range(len(names))]
    return "\n".join(
        "  ".join(word.ljust(w) if at < 2 else word.rjust(w) for at, (word, w) in enumerate(pairs))
        for pairs in (list(zip(line, widths, strict=True)) for line in shown)
    )
