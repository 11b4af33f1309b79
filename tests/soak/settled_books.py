"""The books at the end of a settled run: what each call may have cost, beside what was charged."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from tests.soak.settled_answers import shown_of
from tests.soak.settled_plans import Ending, Plan
from tests.soak.settled_product import Execution

PER: Final = 20
_OK: Final = 200

WEIGHTS: Final = (Fraction(1), Fraction(1, 10), Fraction(3))
"""Input, cached, output."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The least and the most units that a call may have cost."""

    least: Fraction
    most: Fraction


@dataclass(slots=True)
class Sent:
    """One call as its client made it.

    `asked`: bytes of text in its request. `got`: bytes of text that its client has had at least.
    `left`: the client left early. `loses`: the sidecar was killed later, and a credit of the call
    may be lost by that. `killed`: that was before the call had surely been settled. `status` 0: no
    head came; `ended_at` infinite: no whole answer.
    """

    plan: Plan
    asked: int
    deposit: int
    loses: bool
    left: bool = False
    killed: bool = False
    seen_out: bool = False
    status: int = 0
    got: int = 0
    ended_at: float = math.inf


@dataclass
class Row:
    """The books of one org in units; `credits` are in the journal at the end."""

    org: str
    least: int
    most: int
    charged: int
    credits: int
    repeated: int
    calls: int
    executed: int

    @property
    def net(self) -> int:
        """What the org has paid for its calls."""
        return self.charged - self.credits

    @property
    def free(self) -> int:
        """Units that calls have cost, and that no book has."""
        return max(0, self.least - self.net)

    @property
    def double(self) -> int:
        """Units beyond what any call may have cost, and keys counted twice."""
        return max(0, self.net - self.most) + self.repeated


@dataclass
class Settled:
    """What a run did, and what it found; `wrong` is empty where all is well."""

    rows: list[Row] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    """What SDKs raised."""
    mute: int = 0
    """Streams that named no usage and ended whole, before the first kill."""
    kills: int = 0
    wrong: list[str] = field(default_factory=list)

    def table(self) -> str:
        """Write the books; a name that ends in `_` stands for many orgs."""
        names = ("org", "calls", "executed", "least", "most", "charged", "credits", "free",
                 "double")  # fmt: skip
        lines: dict[str, Counter[str]] = {}
        for row in self.rows:
            shown = row.org.rstrip("0123456789")  # those of one call each are shown together
            line = lines.setdefault(shown, Counter())
            line.update({name: getattr(row, name) for name in names[1:]})
        cells = [
            names,
            *((org, *(str(line[name]) for name in names[1:])) for org, line in lines.items()),
        ]
        return "\n".join("".join(word.ljust(13) for word in line) for line in cells)


def named(plan: Plan) -> Fraction:
    """Price the tokens of a plan."""
    weighted = plan.input * WEIGHTS[0] + plan.cached * WEIGHTS[1] + plan.output * WEIGHTS[2]
    return weighted / PER


def estimated(asked: int, answered: int) -> Fraction:
    """Price bytes of text, four of them a token."""
    return (asked * WEIGHTS[0] + answered * WEIGHTS[2]) / (4 * PER)


def cost_of(call: Sent, execution: Execution | None) -> Cost:
    """Say what a call may have cost, and what of its deposit a kill may have lost."""
    cost = _cost_of(call, execution)
    if call.loses:
        return Cost(cost.least, max(cost.most, Fraction(call.deposit)))
    return cost


def _cost_of(call: Sent, execution: Execution | None) -> Cost:
    plan, deposit = call.plan, Fraction(call.deposit)
    asked = estimated(call.asked, 0)
    if execution is None:
        lost = max(deposit, asked) if call.killed else Fraction(0)
        return Cost(Fraction(0), lost)
    whole = estimated(call.asked, plan.shown)
    if execution.done and not call.left and not call.killed:
        exact = named(plan) if execution.named else whole
        return Cost(exact, exact)
    if plan.ending is Ending.ERROR and not call.left and not call.killed:
        return Cost(deposit, deposit)
    # Each kind costs the most of what was named of it and what is estimated.
    shown = shown_of(plan, execution.wrote, named=execution.named)
    fresh = max(Fraction(plan.input), Fraction(call.asked, 4) - plan.cached)
    inputs = [Fraction(call.asked, 4) * WEIGHTS[0]]
    if shown.begun:
        inputs.append(fresh * WEIGHTS[0] + plan.cached * WEIGHTS[1])
    least = min(min(inputs) / PER, deposit)
    if call.status == _OK and not call.killed:
        least = (min(inputs) + Fraction(call.got, 4) * WEIGHTS[2]) / PER
    if shown.named:
        least = min(least, named(plan))
    output = max(Fraction(plan.output * shown.named), Fraction(shown.text, 4), Fraction(1))
    return Cost(least, max((max(inputs) + output * WEIGHTS[2]) / PER, deposit))


def row_of(
    org: str,
    calls: list[Sent],
    executions: dict[str, Execution],
    charged: list[tuple[str | None, int]],
    in_hand: int,
    *,
    kills: int,
) -> Row:
    """Balance one org: a kill may lose what was carried, less than one unit."""
    costs = [cost_of(call, executions.get(call.plan.marker)) for call in calls]
    keys = Counter(key for key, _ in charged)
    return Row(
        org=org,
        least=math.floor(sum(cost.least for cost in costs)) - kills,
        most=math.floor(sum(cost.most for cost in costs)),
        charged=sum(units for _, units in charged),
        credits=in_hand,
        repeated=sum(count - 1 for count in keys.values()),
        calls=len(calls),
        executed=sum(call.plan.marker in executions for call in calls),
    )
