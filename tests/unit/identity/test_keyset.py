"""The key set against an auth host on a real socket, well behaved and not."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from sidecar.identity.keyset import FetchOutcome, KeySet, Pace
from tests.fakes.clock import TurnedClock
from tests.fakes.proxies import proxying
from tests.unit.identity.auth_host import AuthHost, pool_for
from tests.unit.identity.heard import Heard
from tests.unit.identity.mint import key_set, signing_key

ONE, TWO = signing_key("one"), signing_key("two")
EAGER = Pace(timeout=5, refresh=0.001, first_retry=0.001, longest_retry=0.002)


@asynccontextmanager
async def running(
    url: str, *, clock: TurnedClock | None = None, pace: Pace | None = None
) -> AsyncIterator[tuple[KeySet, Heard]]:
    """Make a key set and close it after the test; it is not started."""
    heard = Heard()
    keys = KeySet(pool_for(url), clock or TurnedClock(), heard, pace=pace)
    try:
        yield keys, heard
    finally:
        await keys.close()


async def test_keys_are_fetched(host: AuthHost) -> None:
    """What the auth host publishes is in force after a fetch."""
    host.publish(ONE, TWO)
    async with running(host.url) as (keys, heard):
        await keys.renew()
        assert list(keys.keys) == ["one", "two"]
        assert heard.told == [("ok", 2)]


async def test_fetch_carries_no_credentials(host: AuthHost) -> None:
    """The key set is public: neither credential nor cookie is sent for it (conformance 25)."""
    async with running(host.url) as (keys, _):
        await keys.renew()
    names = {name.lower() for name in host.headers[0]}
    assert names <= {"host", "accept", "accept-encoding", "user-agent", "connection"}


async def test_start_does_not_wait(host: AuthHost) -> None:
    """A start beside a hanging auth host returns at once, with no keys yet."""
    release = host.hang()
    async with running(host.url) as (keys, _):
        keys.start()
        assert not keys.keys
        release.set()


async def test_started_key_set_fetches(host: AuthHost) -> None:
    """A start fetches without being asked."""
    host.publish(ONE)
    async with running(host.url) as (keys, heard):
        keys.start()
        assert await heard.hear("ok") == 1


async def test_start_is_retried_until_it_succeeds(host: AuthHost) -> None:
    """An auth host that comes up late is found (conformance 43)."""
    host.answer(b"starting", status=503)
    async with running(host.url, pace=EAGER) as (keys, heard):
        keys.start()
        await heard.hear("bad_status")
        await heard.hear("bad_status")
        host.publish(ONE)
        assert await heard.hear("ok") == 1
        assert keys.state().last_error is None


async def test_absent_auth_host_is_retried() -> None:
    """An auth host that nobody answers for is asked again, and what is wrong is told."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # taken, and not listening
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        async with running(url, pace=EAGER) as (keys, heard):
            keys.start()
            await heard.hear("unreachable")
            await heard.hear("unreachable")
            told = str(keys.state().last_error)
            assert url in told
            assert "Connection refused" in told


async def test_scheduled_refresh_brings_new_keys(host: AuthHost) -> None:
    """The background refresh rotates without anyone asking."""
    host.publish(ONE)
    async with running(host.url, pace=EAGER) as (keys, heard):
        keys.start()
        await heard.hear("ok")
        host.publish(TWO)
        while "two" not in keys.keys:
            await heard.hear("ok")
        assert list(keys.keys) == ["two"]


async def test_withdrawn_key_dies_with_the_refresh(host: AuthHost) -> None:
    """A key that is published no more is in force no more."""
    clock = TurnedClock()
    host.publish(ONE, TWO)
    async with running(host.url, clock=clock) as (keys, _):
        await keys.renew()
        withdrawn, kept = keys.keys["one"], keys.keys["two"]
        host.publish(TWO)
        clock.advance(30)
        await keys.renew()
        assert not keys.in_force(withdrawn)
        assert keys.in_force(kept)


async def test_generation_grows_only_with_changes(host: AuthHost) -> None:
    """A fetch of the same keys is no change."""
    clock = TurnedClock()
    host.publish(ONE)
    async with running(host.url, clock=clock) as (keys, _):
        await keys.renew()
        first = keys.generation
        clock.advance(30)
        await keys.renew()
        assert (host.fetches, keys.generation) == (2, first)
        host.publish(TWO)
        clock.advance(30)
        await keys.renew()
        assert keys.generation > first


BROKEN: dict[str, tuple[Callable[[AuthHost], object], FetchOutcome]] = {
    "500": (lambda host: host.answer(b"{}", status=500), FetchOutcome.BAD_STATUS),
    "404": (lambda host: host.answer(b"{}", status=404), FetchOutcome.BAD_STATUS),
    "201": (lambda host: host.answer(key_set(TWO.jwk()), status=201), FetchOutcome.BAD_STATUS),
    "html": (lambda host: host.answer(b"<html>sign in</html>"), FetchOutcome.MALFORMED),
    "half": (lambda host: host.answer(key_set(TWO.jwk())[:200]), FetchOutcome.MALFORMED),
    "empty": (lambda host: host.answer(b""), FetchOutcome.MALFORMED),
    "no keys": (lambda host: host.answer(key_set()), FetchOutcome.NO_KEYS),
    "bad keys": (lambda host: host.answer(key_set(TWO.jwk(use="enc"))), FetchOutcome.NO_KEYS),
    "redirected": (AuthHost.redirect, FetchOutcome.REDIRECTED),
    "breaks off": (AuthHost.break_off, FetchOutcome.UNREACHABLE),
    "hangs up": (AuthHost.hang_up, FetchOutcome.UNREACHABLE),
    "huge": (
        lambda host: host.answer(key_set(TWO.jwk(), {"x": "x" * 256 * 1024})),
        FetchOutcome.TOO_LARGE,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_last_good_keys_stay(host: AuthHost, name: str) -> None:
    """Whatever the auth host answers later, the last good keys stay (conformance 28)."""
    spoil, outcome = BROKEN[name]
    clock = TurnedClock()
    host.publish(ONE)
    async with running(host.url, clock=clock) as (keys, heard):
        await keys.renew()
        spoil(host)
        clock.advance(30)
        await keys.renew()
        assert heard.told == [("ok", 1), (outcome, 1)]
        assert list(keys.keys) == ["one"]
        assert str(keys.state().last_error).startswith(outcome)
        assert host.elsewhere == 0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("huge", "answered with more than 262144 bytes"),
        ("bad keys", "1 ignored (another 'use' than 'sig')"),
        ("no keys", "it is empty"),
        ("500", "answered 500"),
    ],
)
async def test_what_is_wrong_reaches_the_log(host: AuthHost, name: str, words: str) -> None:
    """The observer is given the same words as readiness."""
    spoil, _ = BROKEN[name]
    spoil(host)
    async with running(host.url) as (keys, heard):
        await keys.renew()
        assert words in heard.details[0]
        assert words in str(keys.state().last_error)


async def test_ignored_keys_of_a_good_set_reach_the_log(host: AuthHost) -> None:
    """A new key without its `use` would otherwise be noticed by refused tokens alone."""
    host.answer(key_set(ONE.jwk(), TWO.jwk(use=None)))
    async with running(host.url) as (keys, heard):
        await keys.renew()
        assert (heard.told, list(keys.keys)) == ([("ok", 1)], ["one"])
        assert heard.details == ["1 ignored (no 'use': 'sig' is needed)"]
        assert keys.state().last_error is None


async def test_a_slow_name_server_holds_up_no_other_lookup(
    host: AuthHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fetch is given up in time, and its lookup is in no thread that others wait for."""
    release = threading.Event()
    threads: list[threading.Thread] = []

    def hang(*_: object, **__: object) -> list[object]:
        threads.append(threading.current_thread())
        release.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    pace = Pace(timeout=0.05, cooldown=0.0)
    async with running("http://auth.test", pace=pace) as (keys, heard):
        for _ in range(3):
            await keys.renew()
        assert heard.told == [("timeout", 0)] * 3
        assert [thread.name for thread in threads] == ["lookup of auth.test"]
        release.set()
        threads[0].join()


async def test_the_fetch_goes_through_the_proxy(
    host: AuthHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The auth host's name is the proxy's to look up."""
    async with proxying() as proxy:
        proxy.answer = b"HTTP/1.1 403 Forbidden\r\n\r\n"
        monkeypatch.setenv("https_proxy", f"http://user:secret@127.0.0.1:{proxy.port}")
        async with running("https://auth.test") as (keys, heard):
            await keys.renew()
            assert heard.told == [("unreachable", 0)]
            assert "secret" not in heard.details[0] + str(keys.state().last_error)
        assert proxy.heads[0].startswith("CONNECT auth.test:443 ")
        assert "Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=" in proxy.heads[0]


async def test_slow_auth_host_keeps_the_last_good_keys(host: AuthHost) -> None:
    """An auth host that hangs is given up after the timeout."""
    clock = TurnedClock()
    host.publish(ONE)
    async with running(host.url, clock=clock, pace=Pace(timeout=0.05)) as (keys, heard):
        await keys.renew()
        host.hang()
        clock.advance(30)
        await keys.renew()
        assert heard.told == [("ok", 1), ("timeout", 1)]
        assert list(keys.keys) == ["one"]


async def test_one_fetch_per_cooldown(host: AuthHost) -> None:
    """Ten thousand requests for a renewal, at once or in a row, cost one fetch a cooldown."""
    clock = TurnedClock()
    host.publish(ONE)
    async with running(host.url, clock=clock) as (keys, _):
        await asyncio.gather(*(keys.renew() for _ in range(5_000)))
        for _ in range(5_000):
            await keys.renew()
        assert host.fetches == 1
        clock.advance(29.9)
        await keys.renew()
        assert host.fetches == 1
        clock.advance(0.1)
        await keys.renew()
        assert host.fetches == 2


async def test_failed_fetch_cools_down_too(host: AuthHost) -> None:
    """An auth host that is ill is not asked more often for it."""
    host.answer(b"", status=500)
    async with running(host.url) as (keys, _):
        for _ in range(100):
            await keys.renew()
        assert host.fetches == 1


async def test_scheduled_fetch_does_not_use_up_the_cooldown(host: AuthHost) -> None:
    """A key that was rotated just after a scheduled fetch is found at once."""
    host.publish(ONE)
    async with running(host.url) as (keys, heard):
        keys.start()
        await heard.hear("ok")
        host.publish(TWO)
        await keys.renew()
        assert list(keys.keys) == ["two"]


async def test_cancelled_waiter_cancels_nothing(host: AuthHost) -> None:
    """Others who wait for the same fetch get it, though the one who began it went away."""
    host.publish(ONE)
    release = host.hang()
    async with running(host.url) as (keys, heard):
        first = asyncio.create_task(keys.renew())
        second = asyncio.create_task(keys.renew())
        await host.asked(1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        release.set()
        await second
        assert heard.told == [("ok", 1)]
        assert host.fetches == 1


async def test_close_frees_those_who_wait(host: AuthHost) -> None:
    """A close in the middle of a fetch ends it, and nobody waits for ever or is cancelled."""
    host.hang()
    async with running(host.url) as (keys, _):
        keys.start()
        waiter = asyncio.create_task(keys.renew())
        await host.asked(1)
        await keys.close()
        await waiter


async def test_closed_key_set_fetches_nothing(host: AuthHost) -> None:
    """After a close nothing is fetched, and no task is left behind."""
    before = asyncio.all_tasks()
    async with running(host.url) as (keys, _):
        keys.start()
        await keys.close()
        fetched = host.fetches
        keys.start()
        await keys.renew()
        assert host.fetches == fetched
    left = {task.get_name() for task in asyncio.all_tasks() - before}
    assert not left & {"key set", "key set fetch"}


async def test_state_for_readiness(host: AuthHost) -> None:
    """Readiness sees how many keys there are, how old they are and what went wrong last."""
    clock = TurnedClock()
    host.publish(ONE, TWO)
    async with running(host.url, clock=clock) as (keys, _):
        before = keys.state()
        await keys.renew()
        clock.advance(45)
        after = keys.state()
    assert (before.keys, before.age, before.last_error) == (0, None, None)
    assert (after.keys, after.age, after.last_error) == (2, 45.0, None)


@pytest.mark.parametrize(
    ("failures", "chance", "pause"),
    [
        (0, 0.0, 600.0),
        (0, 1.0, 540.0),
        (1, 0.0, 0.5),
        (2, 0.0, 1.0),
        (7, 0.0, 30.0),
        (9, 1.0, 27.0),
    ],
)
async def test_pauses(failures: int, chance: float, pause: float) -> None:
    """Pauses grow with failures up to a bound, and no two replicas keep in step."""
    keys = KeySet(pool_for("http://x"), TurnedClock(), Heard(), chance=lambda: chance)
    keys._failures = failures
    assert keys._pause() == pytest.approx(pause)
