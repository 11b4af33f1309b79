"""What `bb-sidecar explain` says of a call: as data, and as text. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from sidecar.commands.answer_price import AnswerPrice, lines_of
from sidecar.commands.prospects import Prospect
from sidecar.domain.model import Resource
from sidecar.policy.explain import Detour, TriedRoute


@dataclass(frozen=True, slots=True)
class Cost:
    """What the call costs; `problem` says why that cannot be read, where it cannot."""

    resource: str
    rule: int | dict[str, object]
    amount: int | None
    problem: str


@dataclass(frozen=True, slots=True)
class KeyParts:
    """What a charge's key is a digest of, the attempt and the nonce apart.

    `key` is that of the first attempt, as for a request ID that a trusted proxy chose; None where
    the call does not say all that it is made from.
    """

    key: str | None
    product: str
    org_id: str
    user_id: str
    route: str
    method: str
    path: str
    query: str
    resource: str
    amount: int
    request_id: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that the policy and the call alone say.

    `route` is None where the call is refused for its path or method, for the reason in `refused`.
    `caller` is an org that was read and not verified, or why there is none.
    """

    method: str
    path: str
    read_as: str | None
    steps: tuple[TriedRoute, ...]
    other_readings: tuple[Detour, ...]
    route: str | None
    refused: str
    caller: str
    cost: Cost | None
    key: KeyParts | None
    outcomes: tuple[Prospect, ...]
    answer: AnswerPrice | None


def render(explanation: Explanation) -> str:
    """Return an explanation as text for a terminal, without a final line break."""
    lines = [f"{explanation.method} {explanation.path}"]
    if explanation.read_as is not None:
        lines.append(f"  read as {explanation.read_as}")
    lines.append("routes, in order")
    lines += [
        f"  {'yes' if step.matches else 'no '}  {step.route}: {step.why}"
        for step in explanation.steps
    ]
    if explanation.other_readings:
        lines.append("other ways to read the call")
        lines += [f"  {other.call} would be {other.route}" for other in explanation.other_readings]
    if explanation.route is None:
        lines.append(f"refused: {explanation.refused}")
    else:
        lines += [f"route: {explanation.route}", f"caller: {explanation.caller}"]
        lines += _cost_lines(explanation)
    if explanation.answer is not None:
        lines += lines_of(explanation.answer)
    lines.append("outcomes")
    lines += [f"  {o.reason} ({o.status or 'upstream'}): {o.when}" for o in explanation.outcomes]
    return "\n".join(lines)


def _cost_lines(explanation: Explanation) -> list[str]:
    cost, key = explanation.cost, explanation.key
    if cost is None:
        return ["cost: nothing, not metered"]
    if cost.amount is None:
        return [f"cost: cannot be read: {cost.problem}"]
    unit = "byte" if cost.resource == Resource.STORAGE_BYTES else "unit"
    unit += "s" * (cost.amount != 1)
    rule = json.dumps(cost.rule)
    lines = [f"cost: {cost.amount} {unit} of {cost.resource} (amount: {rule})"]
    if key is not None:
        parts = asdict(key)
        lines.append(f"key: {parts.pop('key') or 'a digest over'}")
        lines += [f"  {name}: {value}".rstrip() for name, value in parts.items()]
        lines.append("  attempt: how often this ID was charged before")
        lines.append("  nonce: of the process, unless a trusted proxy chose the ID")
    return lines
