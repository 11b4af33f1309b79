"""Search over an org's records."""

from __future__ import annotations

import pytest

from tests.unit.local_platform import acme


async def found(caller: acme.Caller, q: str, more: str = "") -> list[str]:
    """The titles that a search finds, in its order."""
    _, body = await caller.read(f"/v1/org/retrieve?q={q}{more}")
    return [record["title"] for record in body["results"]]


async def test_search_ranks_the_title_first(caller: acme.Caller) -> None:
    """A word in the title counts more than in the summary; scores fall."""
    await caller.publish(source_ref="a", title="Plan", summary_text="the budget of next year")
    await caller.publish(source_ref="b", title="Budget", summary_text="what we plan to spend")
    await caller.publish(source_ref="c", title="Lunch")

    _, body = await caller.read("/v1/org/retrieve?q=budget")

    assert [record["title"] for record in body["results"]] == ["Budget", "Plan"]
    assert body["results"][0]["score"] > body["results"][1]["score"]


async def test_search_wants_every_word_from_its_beginning(caller: acme.Caller) -> None:
    """Case and accents aside."""
    await caller.publish(source_ref="a", title="Café budget")
    await caller.publish(source_ref="b", title="Budget")

    assert await found(caller, "CAFE%20bud") == ["Café budget"]
    assert await found(caller, "afe") == []


async def test_search_is_filtered_and_limited(caller: acme.Caller) -> None:
    """By type and product; no more than asked for."""
    await caller.publish(source_ref="a", title="note one", record_type="task")
    await caller.publish(source_ref="b", title="note two")

    assert await found(caller, "note", "&record_type=task") == ["note one"]
    assert await found(caller, "note", "&product=other") == []
    assert len(await found(caller, "note", "&limit=1")) == 1


async def test_search_follows_a_change(caller: acme.Caller) -> None:
    """The old words are gone, the new ones there."""
    await caller.publish(title="before")
    await caller.publish(title="after")

    assert await found(caller, "before") == []
    assert await found(caller, "after") == ["after"]


@pytest.mark.parametrize(
    "q", ["%22", "*", "AND", "a%20OR", "title:x", "NEAR(a,b)", "(", "%00", "_", "-", "'", "^a"]
)
async def test_search_takes_any_text(caller: acme.Caller, q: str) -> None:
    """What the search language would read as an operator is only text."""
    assert (await caller.read(f"/v1/org/retrieve?q={q}"))[0] == 200


async def test_search_without_a_question_is_422(caller: acme.Caller) -> None:
    """`q` is required, and not empty."""
    assert (await caller.read("/v1/org/retrieve"))[0] == 422
    assert (await caller.read("/v1/org/retrieve?q="))[0] == 422
