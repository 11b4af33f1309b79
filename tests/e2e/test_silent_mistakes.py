"""A wrong setting that no start can find: one line of the log, and a detail of readiness."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.harness import ORG
from tests.e2e.programs import process_stack

NOT_THERE = "http://127.0.0.1:9"


@dataclass(frozen=True, slots=True)
class Mistake:
    """A wrong setting: what callers get, which event says so, and where readiness shows it."""

    status: int
    event: str
    check: str
    detail: str
    fix: str


MISTAKES: dict[str, tuple[dict[str, Any], Mistake]] = {
    "upstream": (
        {"upstream": NOT_THERE},
        Mistake(502, "upstream_unreachable", "upstream", "connect: 127.0.0.1:9", "--upstream"),
    ),
    "issuer": (
        {"issuer": "https://auth.example"},
        Mistake(401, "tokens_refused", "tokens", "none accepted yet", "--issuer"),
    ),
    "auth host": (
        {"auth_url": NOT_THERE},
        Mistake(503, "tokens_refused", "keys", "none yet: unreachable", "--auth-url"),
    ),
    "key": (
        {"environ": {"PLATFORM_INTERNAL_KEY": "bbas_of_another"}},
        Mistake(200, "platform_refuses", "platform", "credential_refused", "--key-file"),
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
async def test_a_silent_mistake_is_one_line_and_a_detail_of_readiness(name: str) -> None:
    """With cause and fix, however many calls meet it."""
    wrong, mistake = MISTAKES[name]
    async with process_stack(orgs={ORG: -1}, **wrong) as s:
        answers = await asyncio.gather(*(s.call() for _ in range(5)))
        assert {answer.status_code for answer in answers} == {mistake.status}
        ready = await s.client.get(f"{s.admin}/ready")
        assert mistake.detail in ready.json()["dependencies"][mistake.check]["detail"]
        (line,) = s.program.events(mistake.event)
        assert mistake.fix in line["hint"]


async def test_readiness_claims_nothing_that_was_not_seen() -> None:
    """Before the first call neither platform, product nor tokens are called well."""
    async with process_stack(orgs={ORG: -1}) as s:
        before = (await s.client.get(f"{s.admin}/ready")).json()["dependencies"]
        assert (await s.call()).status_code == 200
        after = (await s.client.get(f"{s.admin}/ready")).json()["dependencies"]
    seen = ("platform", "upstream", "tokens")
    assert [before[name]["detail"] for name in seen] == [
        "not yet asked", "not yet asked", "none seen yet",
    ]  # fmt: skip
    assert [after[name]["detail"] for name in seen] == ["answers", "answers", "accepted"]
