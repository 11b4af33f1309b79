"""One execution, one charge, whatever is lost on the way (conformance 32 and 33)."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from sidecar.storage import redis_attempts
from sidecar.storage.redis_attempts import CONNECTIONS
from tests.e2e.harness import CHAT, LOCAL, ORG, Stack, eventually, policy, soon, stack
from tests.e2e.programs import redis
from tests.e2e.raw_client import post
from tests.e2e.relay import Relay
from tests.redis_server import redis_server, wait_for_redis

REPEATS = 100


async def test_a_timeout_after_counting_is_counted_once() -> None:
    """The consume was counted, its answer came too late: the retry and the report share its key."""
    patient = policy(defaults={"platform_timeout": "250ms"})
    async with stack(policy=patient) as s:
        await s.fault(latency_ms=400)  # after the work was done
        answer = await s.call()
        assert answer.headers["x-quota-decision"] == "fail_open"
        assert s.charges() == 1
        await s.fault()
        page = await s.reported()
        assert (s.charges(), s.executions()) == (1, 1)
        assert page.by("platform_degraded_total", "kind") == {"timeout": 1}


async def test_an_answer_lost_after_counting_is_counted_once() -> None:
    """The connection is cut after the platform has counted, also on the retry."""
    async with stack() as s:
        await s.fault(drop_after_commit=True)
        answer = await s.call()
        assert answer.headers["x-quota-decision"] == "fail_open"
        await s.fault()
        await s.reported()
        assert (s.charges(), s.executions()) == (1, 1)


async def test_the_retry_finds_the_answer_that_was_lost() -> None:
    """Where only the first answer is lost, the call is paid as if nothing had happened."""
    async with stack() as s:
        await s.fault(drop_after_commit=True, error_rate=0.5, seed=2)
        answers = [await s.call() for _ in range(8)]
        marks = Counter(answer.headers.get("x-quota-decision") for answer in answers)
        assert marks[None] > 0
        await s.fault()
        await s.reported()
        page = await s.metrics()
        assert page.sum("consume_requests_total", outcome="reset") > marks["fail_open"]
        assert (s.charges(), s.executions()) == (8, 8)


async def test_a_hang_is_counted_once() -> None:
    """The platform hangs before it has counted; what passed meanwhile is reported under its key."""
    async with stack(policy=policy(defaults={"platform_timeout": "100ms"})) as s:
        await s.fault(hang=True)
        assert (await s.call()).headers["x-quota-decision"] == "fail_open"
        assert s.charges() == 0
        await s.fault()
        await s.reported()
        assert (s.charges(), s.executions()) == (1, 1)


async def test_a_refused_call_that_was_counted_becomes_a_credit() -> None:
    """Fail-closed after an unknown result: the unit that was counted pays for the next call."""
    closed = policy(defaults={"on_platform_error": "fail_closed"})
    async with stack(policy=closed) as s:
        await s.fault(drop_after_commit=True)
        assert (await s.call()).status_code == 503
        assert (s.charges(), s.executions()) == (1, 0)
        await s.fault()
        page = await s.reported()
        assert page.sum("credits_units") == 1
        assert (await s.call()).status_code == 200
        assert (s.charges(), s.executions()) == (1, 1)
        assert (await s.metrics()).sum("requests_total", reason="credited") == 1


async def test_an_aborted_call_that_was_counted_becomes_a_credit() -> None:
    """The client goes away before the verdict: nothing upstream, and the unit is not lost."""
    async with stack() as s:
        await s.fault(latency_ms=300)
        host, _, port = s.url.removeprefix("http://").partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(post(CHAT, s.token()))
        await soon(s.charges, lambda units: units == 1)
        # A reset, as of a browser that was closed; an end alone might be half of a conversation.
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        writer.transport.abort()
        await s.fault()
        await eventually(s.metrics, lambda page: page.sum("credits_units") == 1)
        assert s.executions() == 0
        assert (await s.call()).status_code == 200
        assert (s.charges(), s.executions()) == (1, 1)


async def repeat(s: Stack, *, at_once: bool, urls: tuple[str, ...]) -> Counter[int]:
    """Send one request ID a hundred times over these sidecars; return the statuses."""
    headers = {**s.cookie(), "x-request-id": "the-same"}

    async def one(url: str) -> int:
        answer = await s.client.post(f"{url}{CHAT}", json={}, headers=headers)
        return answer.status_code

    calls = [one(urls[number % len(urls)]) for number in range(REPEATS)]
    if at_once:
        return Counter(await asyncio.gather(*calls))
    return Counter([await call for call in calls])


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("replicas", [1, 2])
async def test_a_repeated_id_is_charged_each_time(*, at_once: bool, replicas: int) -> None:
    """A client cannot make calls free by repeating its request ID, here or at another replica."""
    async with stack(orgs={ORG: 1000}, replicas=replicas) as s:
        urls = tuple(sidecar.url for sidecar in s.sidecars)
        assert await repeat(s, at_once=at_once, urls=urls) == {200: REPEATS}
        assert (s.charges(), s.executions()) == (REPEATS, REPEATS)
        assert (await s.metrics()).sum("replays_total", action="charge") == REPEATS / replicas - 1


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_trusted_id_is_charged_each_time_by_one_sidecar(*, at_once: bool) -> None:
    """So with the ID of a trusted proxy, whose attempts this sidecar numbers."""
    async with stack(orgs={ORG: 1000}, trusted_proxies=LOCAL) as s:
        assert await repeat(s, at_once=at_once, urls=(s.url,)) == {200: REPEATS}
        assert (s.charges(), s.executions()) == (REPEATS, REPEATS)


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_trusted_id_is_charged_each_time_by_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, at_once: bool
) -> None:
    """Replicas that share a Redis number the attempts of a trusted ID together."""
    wait_for_redis(monkeypatch)
    async with (
        redis(tmp_path, "secret") as path,
        Relay(f"unix:{path}") as wire,
        stack(
            orgs={ORG: 1000},
            replicas=2,
            trusted_proxies=LOCAL,
            redis=wire.url.replace("http://", "redis://:secret@"),
        ) as s,
    ):
        urls = tuple(sidecar.url for sidecar in s.sidecars)
        assert await repeat(s, at_once=at_once, urls=urls) == {200: REPEATS}
        assert (s.charges(), s.executions()) == (REPEATS, REPEATS)
        assert (await s.metrics()).sum("attempts_shared") == 1


async def test_a_failover_of_redis_loses_no_charge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name leads to another server, and the old one refuses writes: both replicas follow."""
    wait_for_redis(monkeypatch)
    monkeypatch.setattr(redis_attempts, "CHECK_SECONDS", 0.1)
    async with (
        redis_server(tmp_path) as old,
        redis_server(tmp_path) as new,
        Relay(f"127.0.0.1:{old.port}") as name,
        stack(
            orgs={ORG: 1000},
            replicas=2,
            trusted_proxies=LOCAL,
            redis=name.url.replace("http:", "redis:"),
        ) as s,
    ):
        name.target = f"127.0.0.1:{new.port}"
        await old.cli("REPLICAOF", "127.0.0.1", str(new.port))
        await eventually(
            lambda: new.cli("CLIENT", "LIST", "TYPE", "normal"),
            lambda found: len(found.splitlines()) == 2 * CONNECTIONS + 1,  # redis-cli is one
        )
        for app in s.sidecars:
            await eventually(
                partial(s.metrics_of, app), lambda page: page.sum("attempts_shared") == 1
            )
        urls = tuple(sidecar.url for sidecar in s.sidecars)
        assert await repeat(s, at_once=False, urls=urls) == {200: REPEATS}
        assert (s.charges(), s.executions()) == (REPEATS, REPEATS)


async def test_without_its_redis_a_sidecar_counts_for_itself() -> None:
    """Every call is answered and paid for; readiness tells what is lost, and stays ready."""
    async with stack(trusted_proxies=LOCAL, redis="redis://127.0.0.1:9/0") as s:
        assert await repeat(s, at_once=False, urls=(s.url,)) == {200: 25, 429: REPEATS - 25}
        assert (s.charges(), s.executions()) == (25, 25)
        await eventually(
            lambda: s.client.get(f"{s.admin}/ready"),
            lambda ready: (
                ready.status_code == 200
                and ready.json()["dependencies"]["redis"]["detail"].endswith(
                    "in this process alone: Connection refused"
                )
            ),
        )
        page = await s.metrics()
        assert "\nbb_sidecar_attempts_shared 0.0\n" in page.text
    async with stack() as s:
        assert "\nbb_sidecar_attempts_shared " not in (await s.metrics()).text


async def test_a_repeated_id_is_refused_where_the_policy_says_so() -> None:
    """With `replay: reject` one of a hundred in a row is served."""
    async with stack(policy=policy(defaults={"replay": "reject"}), orgs={ORG: 1000}) as s:
        assert await repeat(s, at_once=False, urls=(s.url,)) == {200: 1, 409: REPEATS - 1}
        assert (s.charges(), s.executions()) == (1, 1)


async def test_a_denied_call_reaches_nobody() -> None:
    """Over quota not one byte goes upstream (conformance 34)."""
    async with stack(orgs={ORG: 0}) as s:
        for _ in range(20):
            assert (await s.call()).status_code == 429
        assert s.upstream.executions == []
        assert (await s.metrics()).sum("overhead_seconds_count") == 0
