"""Attempt numbers over real Redis servers: of one kind and another, failing and coming back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.domain.errors import UserError
from sidecar.domain.model import RequestIdOrigin
from sidecar.storage import redis_attempts
from sidecar.storage.redis_attempts import CONNECTIONS, TIMEOUT_SECONDS, RedisAttempts
from sidecar.storage.redis_client import EXPIRY_SECONDS
from tests.free_ports import free_port
from tests.redis_server import RedisServer, redis_server
from tests.unit.admission.scene import Scene
from tests.unit.storage.counting import PATIENCE, SCOPE, counting, problem_of, until, well
from tests.unit.storage.wires import wire

TIMES_LEFT = """
local left = {}
for i, key in ipairs(redis.call("KEYS", "*")) do left[i] = redis.call("TTL", key) end
return left
"""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """Run one Redis."""
    async with redis_server(tmp_path) as running:
        yield running


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Return the events of the storage and their causes."""
    ours = [record for record in caplog.records if record.name == "sidecar.storage"]
    return [(record.message, getattr(record, "cause", "")) for record in ours]


async def test_replicas_never_get_one_number_twice(server: RedisServer) -> None:
    """Two replicas, one scope, two hundred each at once; each number is shared."""
    async with counting(server.url) as one, counting(server.url) as other:
        numbers = await asyncio.gather(*(c.next(SCOPE) for c in (one, other) for _ in range(200)))
    assert sorted(n for n in numbers if n is not None) == list(range(400))


async def test_a_count_is_kept_as_long_as_the_platform_remembers(server: RedisServer) -> None:
    """Redis forgets by itself; each use keeps a count for another day."""
    async with counting(server.url) as attempts:
        await attempts.next(SCOPE)
    left = (await server.cli("EVAL", TIMES_LEFT, "0")).splitlines()
    assert len(left) == 1 + CONNECTIONS  # that of the scope, and those of the tests
    assert all(0 < int(seconds) <= EXPIRY_SECONDS for seconds in left)


async def test_two_replicas_with_redis_charge_a_trusted_id_for_each_execution(
    server: RedisServer,
) -> None:
    """Conformance 33, from two replicas."""
    async with counting(server.url) as one, counting(server.url) as other:
        scenes = [Scene(nonce=bytes([n]) * 32, attempts=c) for n, c in enumerate((one, other))]
        keys = set()
        for scene in scenes * 3:
            decision = await scene.decide(request_id="id", origin=RequestIdOrigin.TRUSTED)
            assert decision.charge is not None
            keys.add(decision.charge.key)
    assert len(keys) == 6


async def test_a_database_and_a_unix_socket(tmp_path: Path) -> None:
    """The other ways to name a Redis."""
    socket = tmp_path / "r.sock"
    async with redis_server(tmp_path, "--unixsocket", str(socket)) as server:
        async with counting(f"{server.url}/3") as one, counting(f"unix://{socket}?db=3") as other:
            assert [await c.next(SCOPE) for c in (one, other)] == [0, 1]
        assert "db3" in await server.cli("INFO", "keyspace")


async def test_an_absent_redis_costs_no_call_and_no_start_its_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """There is no number, one log line, and the cause in the problem."""
    with caplog.at_level(logging.INFO, "sidecar"):
        async with counting(f"redis://127.0.0.1:{free_port()}") as attempts:
            assert [await attempts.next(SCOPE) for _ in range(3)] == [None] * 3
            assert attempts.problem == "Connection refused"
    assert logged(caplog) == [("redis_lost", "Connection refused")]


async def test_a_redis_that_never_answers(tmp_path: Path) -> None:
    """A listener that says nothing is the same as none."""
    accepted: list[asyncio.StreamWriter] = []
    path = tmp_path / "silent.sock"
    silent = await asyncio.start_unix_server(lambda _, writer: accepted.append(writer), path)
    async with counting(f"unix://{path}", timeout=TIMEOUT_SECONDS) as attempts:
        assert await attempts.next(SCOPE) is None
        assert attempts.problem != ""
        await problem_of(attempts, lambda problem: problem == "no answer within 1 s")
    silent.close()
    for writer in accepted:
        writer.transport.abort()


async def test_it_counts_again_once_redis_is_back(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Stopped and started: the log says both, and what the cause is now."""
    with caplog.at_level(logging.INFO, "sidecar"):
        async with counting(server.url) as attempts:
            assert await attempts.next(SCOPE) == 0
            await server.stop()
            await problem_of(attempts, lambda problem: problem == "Connection refused")
            assert await attempts.next(SCOPE) is None
            await server.start()
            await well(attempts)
            assert await attempts.next(SCOPE) == 0
    assert logged(caplog)[-2:] == [("redis_lost", "Connection refused"), ("redis_back", "")]


async def test_a_redis_that_hangs_costs_one_wait(server: RedisServer) -> None:
    """A process that is stopped holds its connections: the first calls find out, no later one."""
    async with counting(server.url, timeout=TIMEOUT_SECONDS) as attempts:
        await well(attempts)
        with server.halted():
            assert await asyncio.gather(*(attempts.next(SCOPE) for _ in range(20))) == [None] * 20
            before = time.monotonic()
            for _ in range(1000):
                assert await attempts.next(SCOPE) is None
            assert time.monotonic() - before < 1000 * TIMEOUT_SECONDS / 10
            assert attempts.problem.startswith("no answer within ")
        await well(attempts)
        assert await attempts.next(SCOPE) is not None


async def test_a_failover_behind_one_name_is_followed(tmp_path: Path, server: RedisServer) -> None:
    """The demoted server keeps its connections and answers READONLY: they are opened again."""
    async with (
        redis_server(tmp_path) as promoted,
        wire(server.port) as name,
        counting(name.url) as one,
        counting(name.url) as other,
    ):
        assert [await c.next(SCOPE) for c in (one, other)] == [0, 1]
        name.port = promoted.port
        await server.cli("REPLICAOF", "127.0.0.1", str(promoted.port))
        await one.next(SCOPE)
        await other.next(SCOPE)
        await well(one)
        await well(other)
        numbers = [await c.next(SCOPE) for c in (one, other, one, other)]
        assert None not in numbers
        assert len(set(numbers)) == 4


async def test_a_failover_is_found_without_a_call(
    tmp_path: Path, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connections are tested while they are idle; the problem is that of the demoted one."""
    monkeypatch.setattr(redis_attempts, "CHECK_SECONDS", 0.1)
    async with (
        redis_server(tmp_path) as promoted,
        wire(server.port) as name,
        counting(name.url) as attempts,
    ):
        await server.cli("REPLICAOF", "127.0.0.1", str(promoted.port))
        await problem_of(attempts, lambda problem: "READONLY" in problem)
        name.port = promoted.port
        await well(attempts)


async def test_connections_that_are_cut_are_replaced(server: RedisServer) -> None:
    """By a proxy, a firewall or an idle timeout."""
    async with wire(server.port) as name, counting(name.url) as attempts:
        assert await attempts.next(SCOPE) == 0
        await until(name.connections, lambda found: found == (CONNECTIONS, CONNECTIONS))
        name.cut()
        await until(name.connections, lambda found: found == (CONNECTIONS, 2 * CONNECTIONS))
        await well(attempts)
        assert await attempts.next(SCOPE) == 1


async def test_a_redis_that_is_far_away_counts(tmp_path: Path) -> None:
    """30 ms there and back, with a login and a database; the connections are made beforehand."""
    async with redis_server(tmp_path, "--requirepass", "secret") as server:
        url = server.url.replace("//", "//:secret@") + "/2"
        async with wire(server.port, delay=0.015) as far:
            url = url.replace(str(server.port), str(far.listens))
            async with counting(url, timeout=PATIENCE) as attempts:
                await well(attempts)
                numbers = await asyncio.gather(*(attempts.next(SCOPE) for _ in range(500)))
                assert sorted(n for n in numbers if n is not None) == list(range(500))
                assert far.accepted == CONNECTIONS  # no call made a connection


async def test_a_burst_counts_at_a_redis_that_is_far_away(server: RedisServer) -> None:
    """More calls at once than connections go in one pipeline: all get numbers, and none is late.

    One after the other, 200 calls over 16 connections would take 5 seconds.
    """
    async with wire(server.port, delay=0.2) as far, counting(far.url, timeout=4.0) as attempts:
        await well(attempts)
        numbers = await asyncio.gather(*(attempts.next(SCOPE) for _ in range(200)))
        assert sorted(n for n in numbers if n is not None) == list(range(200))
        assert attempts.problem == ""


async def test_a_redis_that_is_too_far_away_costs_no_call_its_time(server: RedisServer) -> None:
    """A number that always comes too late is not asked for, and the problem says why."""
    async with (
        wire(server.port, delay=0.1) as far,
        counting(far.url, timeout=TIMEOUT_SECONDS) as attempts,
    ):
        await problem_of(attempts, lambda problem: problem == "no answer within 50 ms")
        assert await attempts.next(SCOPE) is None


async def test_a_cancelled_call_shifts_no_answer(server: RedisServer) -> None:
    """Its answer comes while others wait on the same connection: each gets its own."""
    scopes = [bytes([n]) * 32 for n in range(10)]
    async with wire(server.port, delay=0.02) as far, counting(far.url) as attempts:
        await well(attempts)
        for scope in scopes:
            calls = [asyncio.ensure_future(attempts.next(each)) for each in (scope, scope)]
            await asyncio.sleep(0)
            calls[0].cancel()
            with pytest.raises(asyncio.CancelledError):
                await calls[0]
            assert await calls[1] in {0, 1}
            assert await attempts.next(scope) == (await calls[1] or 0) + 1
        assert far.accepted == CONNECTIONS  # and no connection was lost by it


async def test_a_password_that_is_changed_is_named_as_the_cause(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log and the problem show the cause as it is now, and no password."""
    with caplog.at_level(logging.INFO, "sidecar"):
        async with redis_server(tmp_path, "--requirepass", "first-secret") as server:
            server.password = "first-secret"
            url = server.url.replace("//", "//:first-secret@")
            async with counting(url) as attempts:
                assert await attempts.next(SCOPE) == 0
                await server.cli("CONFIG", "SET", "requirepass", "next-secret")
                server.password = "next-secret"
                await server.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                await problem_of(attempts, lambda problem: "WRONGPASS" in problem)
                await server.stop()
                await problem_of(attempts, lambda problem: problem == "Connection refused")
                await server.start()
                await well(attempts)
    causes = [cause for _, cause in logged(caplog)]
    assert "the user name or password is refused (WRONGPASS)" in causes
    assert causes[-2:] == ["Connection refused", ""]
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("login", "cause"),
    [
        ("", "NOAUTH"),
        (":wrong@", "WRONGPASS"),
        ("counter:wrong@", "WRONGPASS"),
        ("reader:pw@", "NOPERM"),
    ],
)
async def test_a_login_that_fails_is_named(tmp_path: Path, login: str, cause: str) -> None:
    """By the code of Redis, which its documentation explains."""
    words = ("--requirepass", "secret", "--user", "reader", "on", ">pw", "~*", "+@read")
    async with (
        redis_server(tmp_path, *words) as server,
        counting(server.url.replace("//", f"//{login}")) as attempts,
    ):
        assert cause in attempts.problem


async def test_a_user_with_few_rights_counts(tmp_path: Path) -> None:
    """INCR and EXPIRE on the numbers' keys are enough; its password has all signs."""
    rights = ("~bb-sidecar:attempts:*", "+incr", "+expire")
    async with redis_server(tmp_path, "--user", "counter", "on", ">p#/@?%", *rights) as server:
        login = "counter:p%23%2F%40%3F%25@"
        async with counting(server.url.replace("//", f"//{login}")) as attempts:
            assert await attempts.next(SCOPE) == 0


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("redis://h?tls=true", "'tls'"),
        ("redis://h?cluster=true", "'cluster'"),
        ("redis://h?ssl_ca_certs=/x", "'ssl_ca_certs'"),
        ("rediss://h?ssl_ca_certs=/nowhere", "ssl_ca_certs"),
        ("rediss://h?ssl_certfile=/nowhere", "ssl_certfile"),
        ("http://:secret@x", "Redis URL"),
        ("secret", "Redis URL"),
    ],
)
def test_an_url_that_cannot_be_used_is_refused_at_the_start(url: str, problem: str) -> None:
    """In one line that names the parameter, and repeats no password."""
    with pytest.raises(UserError, match="--redis") as caught:
        RedisAttempts.at(url)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
