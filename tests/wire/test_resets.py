"""Connections that end in the middle, at sampled bytes of heads and bodies, on all three sides.

Whatever the byte: no shorter answer that looks whole, no two executions, no free call, and every
unit accounted for.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from typing import Final

import pytest

from tests.e2e.harness import policy
from tests.fakes.obedient_product import Act
from tests.plane import Answer
from tests.wire.fault_proxy import CLEAN, Ending, FaultProxy, Way, Wire
from tests.wire.world import Cut, Outcome, World, until, world

ORG: Final = "org_acme"
EVERY: Final = int(os.environ.get("BB_WIRE_EVERY", "17"))
"""Every how many bytes a connection is cut; 1 is each of them."""

POLICY: Final = policy(
    defaults={"platform_timeout": "2s", "on_platform_error": "fail_open"},
    routes=[
        {
            "name": "closed",
            "match": {"path": "/api/v1/closed"},
            "meter": {"on_platform_error": "fail_closed"},
        }
    ],
)
ABRUPT: Final = [Ending.FIN, Ending.RST]


@pytest.fixture
async def w() -> AsyncIterator[World]:
    """Run a world whose breaker stays out of the way."""
    async with world({ORG: 1_000_000}, policy_text=POLICY, threshold=10_000) as made:
        yield made


def offsets(length: int) -> Iterator[int]:
    """Give the bytes to cut at: the first, the last, and a sample between."""
    yield from sorted({0, 1, length - 1, length, *range(0, length, EVERY)})


async def unconnected(w: World, wire: FaultProxy) -> None:
    """Let the wire carry nothing, so that what comes next is a connection of its own."""
    wire.wire = CLEAN
    await w.rest()  # what the journal still tells would be on a connection as well
    w.product.close_idle()

    def none() -> bool:
        wire.cut()
        return not wire.open_connections

    await until(none)


def lost(w: World) -> int:
    """Count the requests that left the sidecar and whose head the wire did not let through."""
    return sum(
        1
        for passage in w.upstream_wire.passages
        if b"\r\n\r\n" in passage.heard and passage.there < passage.heard.find(b"\r\n\r\n") + 4
    )


async def balance(w: World) -> None:
    """Hold every book against every other, to the unit."""
    await w.rest()
    accounts = w.accounts()
    executed = w.product.executions[ORG]
    assert accounts.paid_for(ORG) == executed + lost(w)
    assert accounts.refused[ORG] == 0


@pytest.mark.parametrize("ending", ABRUPT)
@pytest.mark.parametrize("act", [Act.OK, Act.CHUNKED, Act.EARLY])
@pytest.mark.parametrize("way", ["there", "back"])
async def test_the_product_goes_away_at_any_byte(
    w: World, act: Act, ending: Ending, way: str
) -> None:
    """A request is answered 502 or its answer is cut; whole is only what was whole."""
    first = w.marker()
    await w.ask(w.request(ORG, first, act=act))
    length = getattr(w.upstream_wire.passages[-1], way)
    seen: dict[str, int] = {}
    for offset in offsets(length):
        await unconnected(w, w.upstream_wire)
        fault = Way(stops_after=offset, ending=ending)
        w.upstream_wire.wire = Wire(there=fault) if way == "there" else Wire(back=fault)
        marker = w.marker()
        outcome = await w.ask(w.request(ORG, marker, act=act))
        w.check(marker, outcome)
        named = _named(outcome)
        seen[named] = seen.get(named, 0) + 1
        if way == "back":
            assert w.executions(marker) == 1
            assert named != "200" or offset == length
    assert seen["502"] > 1
    assert set(seen) <= {"200", "502", "cut"}
    await balance(w)


@pytest.mark.parametrize("ending", ABRUPT)
async def test_the_product_resets_an_until_close_answer(w: World, ending: Ending) -> None:
    """An answer that only the end delimits is whole by a FIN, and cut by a reset."""
    first = w.marker()
    await w.ask(w.request(ORG, first, act=Act.UNTIL_CLOSE))
    length = w.upstream_wire.passages[-1].back
    w.upstream_wire.wire = Wire(back=Way(stops_after=length - 5, ending=ending))
    marker = w.marker()
    outcome = await w.ask(w.request(ORG, marker, act=Act.UNTIL_CLOSE))
    if ending is Ending.RST:
        assert isinstance(outcome, Cut)
    else:  # nobody on earth can tell; SECURITY.md says so
        assert isinstance(outcome, Answer)
    await balance(w)


@pytest.mark.parametrize("ending", ABRUPT)
@pytest.mark.parametrize("chunked", [False, True])
async def test_the_client_goes_away_at_any_byte_of_its_request(
    w: World, ending: Ending, *, chunked: bool
) -> None:
    """Before the head is whole nothing happens; after it, one charge for at most one execution."""
    body = b'{"n": 1}' * 20
    example = w.request(ORG, "m00000", chunked=chunked, body=body)
    head = example.find(b"\r\n\r\n") + 4
    for offset in offsets(len(example)):
        w.client_wire.wire = Wire(there=Way(stops_after=offset, ending=ending))
        marker = w.marker()
        request = w.request(ORG, marker, chunked=chunked, body=body)
        assert len(request) == len(example)
        outcome = await w.ask(request)
        assert isinstance(outcome, Cut)
        if offset < head:
            await w.rest()
            assert w.executions(marker) == 0
    await balance(w)


@pytest.mark.parametrize("ending", ABRUPT)
@pytest.mark.parametrize("act", [Act.OK, Act.STREAM])
async def test_the_client_goes_away_at_any_byte_of_its_answer(
    w: World, act: Act, ending: Ending
) -> None:
    """It pays for what the product did, once; what it has does not look whole."""
    first = w.marker()
    await w.ask(w.request(ORG, first, act=act))
    length = w.client_wire.passages[-1].back
    for offset in offsets(length):
        w.client_wire.wire = Wire(back=Way(stops_after=offset, ending=ending))
        marker = w.marker()
        outcome = await w.ask(w.request(ORG, marker, act=act))
        w.check(marker, outcome)
        assert isinstance(outcome, Cut) or offset == length
    await balance(w)


@pytest.mark.parametrize("path", ["/api/v1/chat", "/api/v1/closed"])
@pytest.mark.parametrize("ending", ABRUPT)
@pytest.mark.parametrize("way", ["there", "back"])
@pytest.mark.parametrize("again", [False, True], ids=["once", "again"])
async def test_the_platform_goes_away_at_any_byte(
    w: World, path: str, ending: Ending, way: str, *, again: bool
) -> None:
    """The retry saves the call, or policy decides; no unit is lost or counted twice."""
    await w.ask(w.request(ORG, w.marker(), path=path))
    length = getattr(w.platform_wire.passages[-1], way)
    marks: set[str] = set()
    for offset in offsets(length):
        await unconnected(w, w.platform_wire)
        fault = Way(stops_after=offset, ending=ending)
        spoilt = Wire(there=fault) if way == "there" else Wire(back=fault)
        accepted = w.platform_wire.accepted
        w.platform_wire.wire = spoilt if again else _only(accepted, spoilt)
        marker = w.marker()
        outcome = await w.ask(w.request(ORG, marker, path=path))
        w.check(marker, outcome)
        mark = _named(outcome)
        marks.add(mark)
        if not again:
            assert mark == "200", f"one retry was enough at {offset}, and got {outcome}"
    if again:
        assert ("200 fail_open" if path.endswith("chat") else "503") in marks
    w.platform_wire.wire = CLEAN
    await balance(w)


async def test_a_connection_reset_as_soon_as_it_is_open(w: World) -> None:
    """What provably never arrived is given back; a call is never executed unpaid."""
    w.upstream_wire.target = 1  # nobody is there: the near side is reset at once
    for _ in range(20):
        outcome = await w.ask(w.request(ORG, w.marker()))
        assert _named(outcome) == "502"
    w.upstream_wire.target = w.product.port
    await w.rest()
    assert w.product.executions[ORG] == 0
    assert 0 <= w.accounts().paid_for(ORG) <= 20


def _only(number: int, wire: Wire) -> _Only:
    return _Only(number, wire)


class _Only:
    """Spoil one connection, by its number."""

    def __init__(self, number: int, wire: Wire) -> None:
        self._number = number
        self._wire = wire

    def __call__(self, number: int) -> Wire:
        return self._wire if number == self._number else CLEAN


def _named(outcome: Outcome) -> str:
    if isinstance(outcome, Cut):
        return "cut"
    mark = outcome.values(b"x-quota-decision")
    return " ".join([str(outcome.status), *(each.decode() for each in mark)])
