"""The bound on the bytes of request bodies."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.model import Reason
from sidecar.policy.amounts import JsonAmount, Scale
from sidecar.policy.json_pointer import JsonPointer
from sidecar.proxy.body_memory import BodyMemory
from sidecar.proxy.inbound import InboundBody
from tests.codings import compressed
from tests.unit.admission.scene import ORG, Scene
from tests.unit.proxy.test_inbound import RecordingSender


def test_what_does_not_fit_is_refused_and_counts_nothing() -> None:
    """To the last byte."""
    memory = BodyMemory(100)
    assert memory.reserve(100, "")
    assert memory.is_full
    assert not memory.reserve(1, "")
    memory.add(-100, "")
    assert memory.used == 0


def test_one_org_cannot_take_all_of_it() -> None:
    """Alone it gets half; another one finds something, and what is given back is free again."""
    memory = BodyMemory(1_000)
    while memory.reserve(10, "greedy"):
        pass
    assert memory.used == 500
    assert memory.reserve(200, "other")
    assert not memory.reserve(10, "greedy")
    memory.add(-500, "greedy")
    assert memory.reserve(300, "greedy")


@given(st.lists(st.tuples(st.integers(1, 300), st.sampled_from(["", "a", "b"])), max_size=40))
def test_reservations_never_exceed_the_limit(sizes: list[tuple[int, str]]) -> None:
    """Whoever asks for what; all given back, nothing is remembered."""
    memory = BodyMemory(1_000)
    taken = [(size, holder) for size, holder in sizes if memory.reserve(size, holder)]
    assert memory.used == sum(size for size, _ in taken) <= 1_000
    for size, holder in taken:
        memory.add(-size, holder)
    assert memory.used == 0
    assert memory._held_by == {}


@pytest.mark.parametrize("coding", ["", "gzip", "zstd"])
async def test_the_engine_counts_a_body_for_its_org_and_its_decoder(coding: str) -> None:
    """While it is read: the verified org holds its bytes, and what a decoder may hold."""
    limit = 1000
    scene = Scene(amount=JsonAmount(JsonPointer.parse("/n"), Scale()), body_limit=limit)
    content = compressed(b'{"n":3}', coding) if coding else b'{"n":3}'
    call = scene.call()
    if coding:
        call = replace(call, headers=((b"content-encoding", coding.encode()),))
    memory = BodyMemory(10_000)
    body = InboundBody(RecordingSender(), len(content), memory, expects=False)
    deciding = asyncio.ensure_future(scene.engine.decide(call, body))
    await asyncio.sleep(0)
    assert memory._held_by == {ORG: len(content) + (limit if coding else 0)}
    body.feed(content)
    assert (await deciding).reason is Reason.WITHIN_QUOTA
    body.let_go()
    assert (memory.used, memory._held_by) == (0, {})


async def test_the_engine_refuses_an_org_that_has_its_part() -> None:
    """Another org's call finds room at the same moment."""
    scene = Scene(amount=JsonAmount(JsonPointer.parse("/n"), Scale()), body_limit=1000)
    memory = BodyMemory(1000)
    memory.add(500, ORG)
    body = InboundBody(RecordingSender(), 400, memory, expects=False)
    assert (await scene.engine.decide(scene.call(), body)).reason is Reason.OVERLOADED
    assert memory.used == 500
    assert memory.reserve(200, "another")
