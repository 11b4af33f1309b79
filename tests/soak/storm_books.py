"""The end of a kill storm: one org's books, by sums and, where keys are known, by execution."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from sidecar.admission.idempotency import key_of, scope_of
from tests.e2e.harness import CHAT, PRODUCT


@dataclass(frozen=True, slots=True)
class Row:
    """The books of one org, in units.

    `unreached` is what calls cost that the product never got, `repeated` counts keys that were
    counted twice or are no call's. Of keyed orgs, `keyless` was executed under a key that is not
    counted, and `again` under one that another process had used for the same request ID: without
    Redis a repeat after a restart has the key of the first.
    """

    org: str
    limit: int
    begun: int
    executed: int
    charged: int
    repeated: int
    unreached: int
    bound: int
    keyless: int = 0
    again: int = 0

    @property
    def refused(self) -> int:
        """Executed in an outage, and refused in the report since the limit had been reached."""
        return max(0, self.executed - self.charged) if self.charged == self.limit else 0

    @property
    def free(self) -> int:
        """Executed, and neither counted nor refused."""
        return max(self.keyless, self.executed - self.charged - self.refused - self.again)

    @property
    def double(self) -> int:
        """Keys counted twice, and charges beyond what calls and lost leases explain."""
        return self.repeated + max(0, self.charged - self.begun - self.bound)

    @property
    def lost(self) -> int:
        """Charged, and not executed."""
        return max(0, self.charged - self.executed)


@dataclass(frozen=True, slots=True)
class Call:
    """One call; `request_id` may be an earlier one's, with the same amount."""

    marker: str
    request_id: str
    amount: int


@dataclass
class Storm:
    """What a storm did, and what it found; `wrong` is empty where all is well."""

    kills: Counter[str] = field(default_factory=Counter)
    replicas: int = 0
    """Processes with books of their own that were killed."""
    closings: int = 0
    """How often the product stopped listening: what waited there is lost."""
    answers: Counter[str] = field(default_factory=Counter)
    rows: list[Row] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def table(self) -> str:
        """Write the books."""
        names = ("org", "limit", "begun", "executed", "charged", "refused", "again", "free",
                 "double", "lost", "unreached", "bound")  # fmt: skip
        lines = [names, *(tuple(str(getattr(row, name)) for name in names) for row in self.rows)]
        widths = [max(len(line[at]) for line in lines) for at in range(len(names))]
        return "\n".join(
            "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
            for line in lines
        )


def keys_of(org: str, user_id: str, request_id: str, amount: int, times: int) -> set[str]:
    """Return the keys that so many calls under one request ID may have been charged under."""
    scope = scope_of(
        product=PRODUCT,
        org_id=org,
        user_id=user_id,
        route="chat",
        method="POST",
        path=CHAT,
        resource="ai_calls",
        request_id=request_id,
    )
    return {key_of(scope, attempt, b"", query="", amount=amount) for attempt in range(times)}


def by_key(
    org: str,
    user_id: str,
    sent: Iterable[Call],
    executed: Collection[str],
    counted: set[str | None],
) -> tuple[int, int, int]:
    """Return how many counted keys are no call's, and what a row calls `keyless` and `again`.

    `executed` are the markers of calls that the product got.
    """
    calls: dict[str, list[Call]] = {}
    for call in sent:
        calls.setdefault(call.request_id, []).append(call)
    known: set[str | None] = set()
    keyless = again = 0
    for request_id, same in calls.items():
        amount = same[0].amount
        keys = keys_of(org, user_id, request_id, amount, len(same))
        known |= keys
        times = sum(call.marker in executed for call in same)
        if not keys & counted:
            keyless += times * amount
        else:
            again += max(0, times - len(keys & counted)) * amount
    return len(counted - known), keyless, again
