"""Names: one lookup for all who wait, and what was found outlives a name server that fails."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sidecar.http1 import resolving
from sidecar.http1.resolving import MAX_AGE, IpAddress, Resolver, look_up
from tests.fakes.clock import TurnedClock
from tests.fakes.names import FixedLookup, HeldLookup, addresses

NAME = "platform.test"
ONE, TWO = addresses("192.0.2.1", "192.0.2.2")


def resolver(
    lookup: resolving.Lookup, clock: TurnedClock | None = None, patience: float = 60.0
) -> Resolver:
    """Make a resolver that waits for a new lookup as good as for ever, where it waits."""
    now = (clock or TurnedClock()).monotonic
    return Resolver(NAME, patience=patience, lookup=lookup, now=now)


async def known(clock: TurnedClock, patience: float = 60.0) -> tuple[Resolver, HeldLookup]:
    """Make a resolver that has found one address, at the clock's time."""
    lookup = HeldLookup()
    names = resolver(lookup, clock, patience)
    waiting = asyncio.ensure_future(names.addresses())
    await lookup.begun(1)
    lookup.answer(ONE.host)
    assert await waiting == (ONE,)
    return names, lookup


async def ended(names: Resolver) -> None:
    """Wait until no lookup is under way."""
    while names._running is not None:  # noqa: ASYNC110 - it reports to no one
        await asyncio.sleep(0)


async def test_one_lookup_serves_all_who_wait() -> None:
    """Forty connections to one name are one question."""
    lookup = HeldLookup()
    names = resolver(lookup)
    waiting = [asyncio.ensure_future(names.addresses()) for _ in range(40)]
    await lookup.begun(1)
    lookup.answer(ONE.host)
    assert await asyncio.gather(*waiting) == [(ONE,)] * 40
    assert len(lookup.asked) == 1


async def test_a_cancelled_waiter_leaves_the_lookup_alone() -> None:
    """The one who began it too."""
    lookup = HeldLookup()
    names = resolver(lookup)
    first, second = (asyncio.ensure_future(names.addresses()) for _ in range(2))
    await lookup.begun(1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    lookup.answer(ONE.host)
    assert await second == (ONE,)


async def test_a_lookup_that_fails_without_a_waiter_is_no_fault_of_the_loop() -> None:
    """Nothing says that an exception was never retrieved."""
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    lookup = HeldLookup()
    names = resolver(lookup)
    waiting = asyncio.ensure_future(names.addresses())
    await lookup.begun(1)
    waiting.cancel()
    lookup.fail()
    await asyncio.wait({waiting})
    await ended(names)
    gc.collect()
    assert faults == []


async def test_all_who_wait_learn_why_there_is_no_address() -> None:
    """Each gets an error of its own, with the system's words."""
    lookup = HeldLookup()
    names = resolver(lookup)
    waiting = [asyncio.ensure_future(names.addresses()) for _ in range(3)]
    await lookup.begun(1)
    lookup.fail()
    ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert len({id(end) for end in ends}) == 3
    assert {getattr(end, "strerror", None) for end in ends} == {
        "Temporary failure in name resolution"
    }


async def test_a_name_without_an_address_is_an_error() -> None:
    """An empty answer is none."""
    with pytest.raises(OSError, match="no address"):
        await resolver(FixedLookup()).addresses()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_an_address_needs_no_lookup(host: str) -> None:
    """Neither at first, nor after a failure."""
    lookup = FixedLookup()
    names = Resolver(host, patience=0.0, lookup=lookup)
    assert await names.addresses() == addresses(host)
    names.failed(addresses(host))
    assert await names.other_than(addresses(host)) == ()
    assert lookup.count == 0


async def test_addresses_are_kept_for_ten_seconds() -> None:
    """Then a connection has them looked up again, and waits for it as long as its patience."""
    clock = TurnedClock()
    names, lookup = await known(clock)
    clock.advance(MAX_AGE - 0.1)
    assert await names.addresses() == (ONE,)
    assert len(lookup.asked) == 1
    clock.advance(0.1)
    waiting = asyncio.ensure_future(names.addresses())
    await lookup.begun(2)
    lookup.answer(TWO.host)
    assert await waiting == (TWO,)


async def test_the_last_good_addresses_serve_while_a_lookup_is_slow() -> None:
    """And what it finds in the end is used from then on."""
    clock = TurnedClock()
    names, lookup = await known(clock, patience=0.0)
    clock.advance(MAX_AGE)
    assert [await names.addresses() for _ in range(3)] == [(ONE,)] * 3
    await lookup.begun(2)
    assert await names.addresses() == (ONE,)
    lookup.answer(TWO.host)
    await ended(names)
    assert await names.addresses() == (TWO,)
    assert len(lookup.asked) == 2


async def test_patience_counts_from_the_start_of_the_lookup() -> None:
    """Callers after that do not wait for a lookup that is known to be slow."""
    clock = TurnedClock()
    names, lookup = await known(clock, patience=0.01)
    clock.advance(MAX_AGE)
    assert await names.addresses() == (ONE,)  # waits its 10 ms
    names._patience = 0.0
    assert await names.addresses() == (ONE,)
    assert len(lookup.asked) == 2


async def test_the_last_good_addresses_serve_while_lookups_fail() -> None:
    """For as long as they do."""
    clock = TurnedClock()
    names, lookup = await known(clock)
    for number in range(2, 5):
        clock.advance(MAX_AGE)
        waiting = asyncio.ensure_future(names.addresses())
        await lookup.begun(number)
        lookup.fail()
        assert await waiting == (ONE,)


async def test_a_name_is_looked_up_once_a_second_at_most() -> None:
    """A name server that says no at once is not asked at every request."""
    clock = TurnedClock()
    lookup = FixedLookup()
    names = resolver(lookup, clock)
    for _ in range(5):
        with pytest.raises(OSError, match="no address"):
            await names.addresses()
    assert lookup.count == 1
    clock.advance(1.0)
    lookup.hosts = (ONE.host,)
    assert await names.addresses() == (ONE,)


async def test_a_failed_address_has_the_name_looked_up_at_once() -> None:
    """What is new is returned, and what was tried is not."""
    clock = TurnedClock()
    names, lookup = await known(clock)
    clock.advance(1.0)
    waiting = asyncio.ensure_future(names.other_than((ONE,)))
    await lookup.begun(2)
    lookup.answer(ONE.host, TWO.host)
    assert await waiting == (TWO,)


async def test_a_failed_address_is_tried_last() -> None:
    """Until it works again; of several, the one that failed last is the last."""
    lookup = FixedLookup("192.0.2.1", "192.0.2.2", "192.0.2.3")
    names = resolver(lookup)
    one, two, three = await names.addresses()
    names.failed((one,))
    assert await names.addresses() == (two, three, one)
    names.failed((two,))
    assert await names.addresses() == (three, one, two)
    names.failed((three,))
    assert await names.addresses() == (one, two, three)
    names.worked(two)
    assert await names.addresses() == (two, one, three)


async def test_families_take_turns() -> None:
    """The first address's family comes first (RFC 8305, section 4)."""
    lookup = FixedLookup("2001:db8::1", "2001:db8::2", "192.0.2.1")
    hosts = [address.host for address in await resolver(lookup).addresses()]
    assert hosts == ["2001:db8::1", "192.0.2.1", "2001:db8::2"]


async def test_closing_ends_the_wait_and_begins_nothing() -> None:
    """Who waits gets an error, and no task is left."""
    lookup = HeldLookup()
    names = resolver(lookup)
    waiting = asyncio.ensure_future(names.addresses())
    await lookup.begun(1)
    names.close()
    with pytest.raises(OSError, match="not been looked up"):
        await waiting
    names.failed((ONE,))
    assert (names._running, len(lookup.asked)) == (None, 1)


class HeldSystem:
    """`socket.getaddrinfo` that blocks its thread until it is released."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.release = threading.Event()
        self.threads: list[threading.Thread] = []
        monkeypatch.setattr(socket, "getaddrinfo", self.ask)

    def ask(self, *_: object, **__: object) -> list[Any]:
        """Answer when the test allows it."""
        self.threads.append(threading.current_thread())
        assert self.release.wait(30)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))]

    async def reached(self) -> None:
        """Wait until a lookup hangs."""
        while not self.threads:  # noqa: ASYNC110 - another thread appends
            await asyncio.sleep(0.001)

    def end(self) -> None:
        """Let every lookup end, and wait for it."""
        self.release.set()
        for thread in self.threads:
            thread.join(30)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldSystem]:
    """A system whose lookups hang; none outlives the test."""
    system = HeldSystem(monkeypatch)
    yield system
    system.end()


async def test_lookups_that_hang_leave_the_loops_executor_free(held: HeldSystem) -> None:
    """More of them than it has threads: other work is done all the same, and they end too."""
    loop = asyncio.get_running_loop()
    lookups = [asyncio.ensure_future(look_up(NAME)) for _ in range(64)]
    await asyncio.sleep(0)
    assert await loop.run_in_executor(None, lambda: "done") == "done"
    held.release.set()
    assert await asyncio.gather(*lookups) == [(ONE,)] * 64


def test_a_lookup_that_hangs_holds_up_no_exit(held: HeldSystem) -> None:
    """The loop closes without it, and its late answer goes nowhere."""

    async def ask() -> None:
        task = asyncio.ensure_future(look_up(NAME))
        await held.reached()
        task.cancel()

    asyncio.run(ask())
    assert [thread.daemon for thread in held.threads] == [True]


async def test_a_late_answer_of_the_system_is_dropped(held: HeldSystem) -> None:
    """The lookup was cancelled meanwhile."""
    task = asyncio.ensure_future(look_up(NAME))
    await held.reached()
    task.cancel()
    await asyncio.wait({task})
    held.end()
    await asyncio.sleep(0.01)
    assert task.cancelled()


async def test_no_thread_is_an_error_of_the_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process at its limit of threads cannot look names up, and goes on."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(OSError, match="unavailable"):
        await look_up(NAME)


async def test_the_system_knows_this_machine() -> None:
    """A real lookup, of a name that needs no name server."""
    assert IpAddress(int(socket.AF_INET), "127.0.0.1") in await look_up("localhost")


async def test_a_name_that_cannot_be_encoded_is_an_error() -> None:
    """Python refuses a label that is too long before any server is asked."""
    with pytest.raises(OSError, match=r"."):
        await Resolver("a" * 70 + ".test", patience=0.0).addresses()
