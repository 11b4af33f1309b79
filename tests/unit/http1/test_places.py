"""Places: who waits, for how long, and who ends for whom."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.http1.places import CrowdedOutError, Places

LONG = 60.0


async def _wait(places: Places, size: int, until: asyncio.Event) -> str:
    try:
        async with places.take(size):
            await until.wait()
    except CrowdedOutError:
        return "crowded out"
    except TimeoutError:
        return "too slow"
    return "done"


class Crowd:
    """Requests that wait in one set of places until they are released."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._until = asyncio.Event()
        self.waiting: list[asyncio.Task[str]] = []

    async def come(self, size: int = 1) -> None:
        """Let one more wait."""
        self.waiting.append(asyncio.create_task(_wait(self._places, size, self._until)))
        for _ in range(3):
            await asyncio.sleep(0)

    async def ends(self) -> list[str]:
        """Release them; return how each ended."""
        self._until.set()
        return await asyncio.gather(*self.waiting)


async def test_as_many_as_fit_wait() -> None:
    """By their sizes."""
    crowd = Crowd(Places(5, LONG))
    for size in (2, 3):
        await crowd.come(size)
    assert await crowd.ends() == ["done", "done"]


async def test_the_oldest_end_for_a_newer_one() -> None:
    """As many as its size needs, and no more."""
    crowd = Crowd(Places(5, LONG))
    for size in (1, 2, 2, 3):
        await crowd.come(size)
    assert await crowd.ends() == ["crowded out", "crowded out", "done", "done"]


async def test_a_wait_has_an_end() -> None:
    """Its seconds."""
    crowd = Crowd(Places(1, 0.01))
    await crowd.come()
    assert await crowd.waiting[0] == "too slow"


@pytest.mark.parametrize("way", ["done", "cancelled", "late"])
async def test_a_place_is_given_back(way: str) -> None:
    """However the wait ended."""
    places = Places(1, 0.01 if way == "late" else LONG)
    crowd = Crowd(places)
    await crowd.come()
    if way == "cancelled":
        crowd.waiting[0].cancel()
        await asyncio.gather(*crowd.waiting, return_exceptions=True)
    elif way == "late":
        await crowd.waiting[0]
    else:
        await crowd.ends()
    assert places._left == 1
    assert not places._waiting


async def test_one_that_has_just_timed_out_is_not_ended_twice() -> None:
    """Its own time is over in the same turn of the loop in which a newer one comes."""
    places = Places(1, 0.0)
    first = asyncio.create_task(_wait(places, 1, asyncio.Event()))
    second = asyncio.create_task(_wait(places, 1, asyncio.Event()))
    assert set(await asyncio.gather(first, second)) <= {"too slow", "crowded out"}
    assert places._left == 1
