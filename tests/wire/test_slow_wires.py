"""Wires that are slow, narrow, silent or dead without a word, on all three sides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import pytest

from tests.e2e.harness import policy
from tests.fakes.obedient_product import Act
from tests.plane import Answer
from tests.wire.fault_proxy import CLEAN, Ending, Way, Wire
from tests.wire.world import PATIENCE, Cut, World, world

ORG: Final = "org_acme"
AT_ONCE: Final = 12
POLICY: Final = policy(
    defaults={"platform_timeout": "300ms", "on_platform_error": "fail_open"},
    routes=[
        {
            "name": "closed",
            "match": {"path": "/api/v1/closed"},
            "meter": {"on_platform_error": "fail_closed"},
        }
    ],
)
NARROW: Final = Way(latency=0.0002, jitter=0.0002, piece=7)
HOLE_AT: Final = [0, 1, 40, 100]


@pytest.fixture
async def w() -> AsyncIterator[World]:
    """Run a world that gives up soon, but not while a busy machine still makes connections."""
    async with world(
        {ORG: 1_000_000},
        policy_text=POLICY,
        threshold=10_000,
        head_timeout="4s",
        idle_timeout="1s",
        connect_timeout="15s",
        first_byte_timeout="1500ms",
        body_idle_timeout="600ms",
        answer_idle_timeout="600ms",
    ) as made:
        yield made


async def crowd(
    w: World, act: Act, path: str = "/api/v1/chat", seconds: float = PATIENCE
) -> list[Answer | Cut]:
    """Ask many times at once, check each outcome, and return them."""
    markers = [w.marker() for _ in range(AT_ONCE)]
    requests = [w.request(ORG, marker, act=act, path=path) for marker in markers]
    outcomes = await asyncio.gather(*(w.ask(each, seconds=seconds) for each in requests))
    for marker, outcome in zip(markers, outcomes, strict=True):
        w.check(marker, outcome)
    return outcomes


async def balance(w: World, *, lost: int = 0) -> None:
    """Hold the books against each other; `lost` left the sidecar and never arrived."""
    await w.rest()
    assert w.accounts().paid_for(ORG) == w.product.executions[ORG] + lost


@pytest.mark.parametrize("act", [Act.OK, Act.CHUNKED, Act.STREAM, Act.UNTIL_CLOSE])
@pytest.mark.parametrize("side", ["client", "upstream", "platform"])
async def test_a_narrow_wire_changes_no_answer(w: World, side: str, act: Act) -> None:
    """Seven bytes at a time, each after a wait of its own: every answer is whole."""
    wire = {"client": w.client_wire, "upstream": w.upstream_wire, "platform": w.platform_wire}[side]
    wire.wire = Wire(connects_after=0.005, there=NARROW, back=NARROW)
    outcomes = await crowd(w, act)
    assert {isinstance(each, Answer) and each.status for each in outcomes} == {200}
    await balance(w)


@pytest.mark.parametrize("path", ["/api/v1/chat", "/api/v1/closed"])
@pytest.mark.parametrize(
    "wire",
    [
        Wire(half_open=True),
        Wire(connects_after=5.0),
        *(Wire(back=Way(stops_after=at, ending=Ending.BLACK_HOLE)) for at in HOLE_AT),
        *(Wire(there=Way(stops_after=at, ending=Ending.BLACK_HOLE)) for at in HOLE_AT),
    ],
    ids=str,
)
async def test_a_silent_platform_costs_its_timeout_alone(w: World, wire: Wire, path: str) -> None:
    """Policy decides when the time is up; once it speaks again, every unit is where it belongs."""
    w.platform_wire.wire = wire
    outcomes = await crowd(w, Act.OK, path)
    wanted = 200 if path.endswith("chat") else 503
    assert {isinstance(each, Answer) and each.status for each in outcomes} == {wanted}
    w.platform_wire.wire = CLEAN
    await balance(w)


@pytest.mark.parametrize("at", HOLE_AT)
async def test_an_answer_that_falls_silent_is_ended(w: World, at: int) -> None:
    """Before its head is whole the caller gets 504; after that the answer is cut."""
    w.upstream_wire.wire = Wire(back=Way(stops_after=at, ending=Ending.BLACK_HOLE))
    outcomes = await crowd(w, Act.OK)
    assert all(isinstance(each, Cut) or each.status == 504 for each in outcomes)
    assert w.product.executions[ORG] == AT_ONCE
    await balance(w)


async def test_a_product_behind_a_half_open_wire_is_given_up(w: World) -> None:
    """The request left, nobody answered: 504, and it is paid for, since it may have been done."""
    w.upstream_wire.wire = Wire(half_open=True)
    outcomes = await crowd(w, Act.OK)
    assert {isinstance(each, Answer) and each.status for each in outcomes} == {504}
    await balance(w, lost=AT_ONCE)


@pytest.mark.parametrize("at", [0, 1, 40])
async def test_a_head_that_falls_silent_is_ended(w: World, at: int) -> None:
    """A client that stops in its head is let go of in time, and has cost nothing."""
    w.client_wire.wire = Wire(there=Way(stops_after=at, ending=Ending.BLACK_HOLE))
    outcomes = await crowd(w, Act.OK, seconds=2.5)
    assert all(isinstance(each, Cut) for each in outcomes)
    assert w.product.executions[ORG] == 0
    await balance(w)


async def test_a_client_that_vanished_frees_what_it_held(w: World) -> None:
    """Its answer falls into a black hole: the sidecar lets go of everything."""
    w.client_wire.wire = Wire(back=Way(stops_after=10, ending=Ending.BLACK_HOLE))
    assert all(isinstance(each, Cut) for each in await crowd(w, Act.OK, seconds=1.0))
    await balance(w)
    assert w.product.executions[ORG] == AT_ONCE
