"""The one table of calls that are settled by usage, through every door that sees answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.doors.planned import SEE_ANSWERS, Planned, planned
from tests.doors.products.notes import PATH_OF, UNIT_PATH
from tests.e2e.harness import Page, eventually, policy
from tests.soak.settled_plans import Ending, Plan, Shape

USAGE: dict[str, Any] = {"per": 10, "weights": {"input": 1, "cached": 0.5, "output": 2}}
HOLD = {"json": "/max_tokens", "default": 10, "max": 1000}
POLICY = policy(
    routes=[
        {
            "name": "openai",
            "match": {"path": PATH_OF[Shape.OPENAI]},
            "meter": {"usage": {**USAGE, "format": "openai", "hold": HOLD, "request_usage": True}},
        },
        {
            "name": "anthropic",
            "match": {"path": PATH_OF[Shape.ANTHROPIC]},
            "meter": {"amount": 5, "refund": "failed", "usage": {**USAGE, "format": "anthropic"}},
        },
        {
            "name": "gemini",
            "match": {"path": PATH_OF[Shape.GEMINI]},
            "meter": {
                "enforcement": "shadow",
                "usage": {**USAGE, "format": "gemini", "missing": "amount"},
            },
        },
    ],
)
TEN = Plan("", Shape.OPENAI, False, Ending.WHOLE, input=30, cached=20, output=30, words=4)
"""Of ten units."""

CHUNK = b'"choices":[],"usage"'


@dataclass(frozen=True)
class Outcome:
    """What became of a call: `charged` by the platform, and `credit` of what is too much of it."""

    charged: int
    credit: int = 0
    status: int = 200
    missing: str = ""
    chunk: bool = False
    """Whether the client got the usage chunk."""


@dataclass(frozen=True)
class Row:
    """A call of an org of its own, and what every door makes of it."""

    name: str
    plan: Plan
    outcome: Outcome
    body: Mapping[str, Any]
    limit: int = 1000
    settle: int | None = None
    """What the handler names as the cost, where it has a quota to name it to."""

    unsettled: Outcome | None = None
    """What a door makes of it whose handler cannot name a cost."""

    path: str = ""


def _stream(plan: Plan) -> Plan:
    return replace(plan, stream=True)


ANTHROPIC = replace(TEN, shape=Shape.ANTHROPIC)
GEMINI = replace(TEN, shape=Shape.GEMINI)
ASKS = {"stream": True, "stream_options": {"include_usage": True}}
ROWS = [
    Row("whole", TEN, Outcome(10), {}),
    Row("streamed", _stream(TEN), Outcome(10), {"stream": True}),
    Row("a client that asks", _stream(TEN), Outcome(10, chunk=True), ASKS),
    Row("another dialect", ANTHROPIC, Outcome(10), {}),
    Row("its stream", _stream(ANTHROPIC), Outcome(10), {"stream": True}),
    Row("less than the deposit", replace(ANTHROPIC, input=10, cached=0, output=10), Outcome(5, 2),
        {}),
    Row("a failure that is given back", replace(ANTHROPIC, ending=Ending.ERROR),
        Outcome(5, 5, 503), {}),
    Row("a failure that is not", replace(TEN, ending=Ending.ERROR), Outcome(1, 0, 503), {}),
    Row("without usage", replace(TEN, ending=Ending.MUTE),  # 40 / 4 of text in, 27 / 4 out
        Outcome(2, missing="absent"), {"note": "ask " * 10}),
    Row("a stream without usage", _stream(replace(TEN, ending=Ending.MUTE)),
        Outcome(2, missing="absent"), {"stream": True, "note": "ask " * 10}),
    Row("over the quota", TEN, Outcome(3), {}, limit=3),
    Row("over it by its hold", TEN, Outcome(1, 1, 429), {"max_tokens": 100}, limit=9),
    Row("in shadow", _stream(GEMINI), Outcome(3), {}, limit=3),
    Row("without usage in shadow", replace(GEMINI, ending=Ending.MUTE),
        Outcome(1, missing="absent"), {}),
    Row("a cost that the handler names", TEN, Outcome(7), {}, settle=7, unsettled=Outcome(10)),
    Row("of a failure", replace(ANTHROPIC, ending=Ending.ERROR), Outcome(7, status=503), {},
        settle=7, unsettled=Outcome(5, 5, 503)),
    Row("without usage in the policy", TEN, Outcome(7), {}, settle=7, unsettled=Outcome(1),
        path=UNIT_PATH),
    Row("nothing at all", TEN, Outcome(1, 1), {}, settle=0, unsettled=Outcome(1), path=UNIT_PATH),
]  # fmt: skip
BESIDE = ("proxy", "ext_proc")
"""Doors whose handlers have no quota to name a cost to."""

ORGS = {f"org_{number}": row.limit for number, row in enumerate(ROWS)}


async def _outcome(p: Planned, number: int, row: Row) -> Outcome:
    """Make a call; return what became of it, once nothing of it is held or owed."""
    org = f"org_{number}"
    plan = replace(row.plan, marker=org)
    named = {} if row.settle is None else {"x-settle": str(row.settle)}
    before = await p.rest()
    finished = before.sum("requests_total", reason="within_quota")
    answer = await p.call(row.path or PATH_OF[plan.shape], plan, org, row.body, **named)

    def counted(page: Page) -> bool:
        done = page.sum("requests_total", reason="within_quota") > finished
        return (done or answer.status_code == 429) and not page.sum("journal_pending_units")

    await eventually(p.page, counted)
    after = await p.rest()
    causes = [
        cause
        for cause, count in after.by("usage_missing_total", "cause").items()
        if count > before.by("usage_missing_total", "cause").get(cause, 0)
    ]
    return Outcome(
        charged=sum(each.amount for each in p.platform.consumes(org)),
        credit=int(after.sum("credits_units") - before.sum("credits_units")),
        status=answer.status_code,
        missing="".join(causes),
        chunk=CHUNK in answer.content,
    )


@pytest.mark.parametrize("door", SEE_ANSWERS)
async def test_a_door_settles_as_the_table_says(door: str, tmp_path: Path) -> None:
    """A cost that a handler names is for the doors in its process; all else is the same."""
    async with planned(door, POLICY, ORGS, tmp_path) as p:
        found = {row.name: await _outcome(p, number, row) for number, row in enumerate(ROWS)}
    assert found == {
        row.name: row.unsettled if door in BESIDE and row.unsettled else row.outcome for row in ROWS
    }
