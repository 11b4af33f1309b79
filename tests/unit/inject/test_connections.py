"""Places of connections: who waits for one, and who loses one."""

from __future__ import annotations

import asyncio

from sidecar.inject.connections import ConnectionPlace, Connections


async def taken(connections: Connections, ended: list[str], *names: str) -> list[ConnectionPlace]:
    """Take a place for each name; `ended` gets the name of one that is ended."""
    places = []
    for name in names:
        place = await connections.take()
        place.end = lambda name=name: ended.append(name)  # type: ignore[misc]
        places.append(place)
    return places


async def test_a_new_connection_ends_the_oldest() -> None:
    """Once that has had its moment."""
    connections, ended = Connections(2), list[str]()
    await taken(connections, ended, "a", "b", "c", "d")
    assert ended == ["a", "b"]
    assert len(connections) == 2


async def test_one_that_was_useful_ends_last() -> None:
    """And of those the one that was useful longest ago."""
    connections, ended = Connections(3), list[str]()
    places = await taken(connections, ended, "a", "b", "c")
    connections.was_useful(places[0])
    connections.was_useful(places[1])
    connections.was_useful(places[0])
    (useful,) = await taken(connections, ended, "d")
    assert ended == ["c"]
    connections.was_useful(useful)
    await taken(connections, ended, "e")
    assert ended == ["c", "b"]


async def test_a_place_that_is_freed_is_taken_at_once() -> None:
    """No connection is ended for it."""
    connections, ended = Connections(1), list[str]()
    (first,) = await taken(connections, ended, "a")
    waiting = asyncio.create_task(connections.take())
    await asyncio.sleep(0)
    connections.free(first)
    connections.free(first)
    await waiting
    assert (ended, len(connections)) == ([], 1)


async def test_a_place_that_is_gone_cannot_be_useful() -> None:
    """Its connection was ended while the answer was made."""
    connections = Connections(1)
    place = await connections.take()
    connections.free(place)
    connections.was_useful(place)
    assert len(connections) == 0
