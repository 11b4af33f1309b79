"""What the planned products of tests/doors share: their paths, their answers, their notes."""

from __future__ import annotations

import orjson

from tests.soak.settled_answers import answer_of
from tests.soak.settled_plans import Plan, Shape
from tests.soak.settled_product import Execution, executed

UNIT_PATH = "/api/v1/unit"
PATH_OF = {shape: shape.path for shape in Shape}
PATHS = (UNIT_PATH, *PATH_OF.values())


def noted(executions: dict[str, Execution], plan_text: str, content: bytes) -> Execution:
    """Note one more execution."""
    return executed(executions, plan_text.encode(), content)


def answer_parts(execution: Execution) -> list[bytes]:
    """Return the answer in the parts in which it is sent."""
    return answer_of(execution.plan, named=execution.named)


def notes(executions: dict[str, Execution]) -> bytes:
    """Write down what was executed."""
    return orjson.dumps({marker: [e.times, e.named, e.done] for marker, e in executions.items()})


def read_notes(content: bytes, plans: dict[str, Plan]) -> dict[str, Execution]:
    """Read it, beside the plans that were sent."""
    found = orjson.loads(content)
    return {marker: Execution(plans[marker], *values) for marker, values in found.items()}
