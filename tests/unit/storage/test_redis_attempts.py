"""Attempt numbers over a real Redis, and without one."""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sidecar.admission.idempotency import scope_of
from sidecar.errors import UserError
from sidecar.model import RequestIdOrigin
from sidecar.storage.redis_attempts import EXPIRY_SECONDS, PAUSE_SECONDS, RedisAttempts
from tests.fakes.clock import TurnedClock
from tests.unit.admission.scene import Scene

PATIENCE = 10.0
"""Seconds for a number where Redis answers: a busy machine takes longer than a call would wait."""

SCOPE = scope_of(
    product="p", org_id="o", user_id="u", route="r", method="POST", path="/",
    resource="ai_calls", request_id="id",
)  # fmt: skip


@pytest.fixture(scope="module")
def socket_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run a real redis-server on a Unix socket of its own: no port to collide on."""
    program = shutil.which("redis-server")
    assert program, "redis-server is not installed: `make` installs it, or apt install redis-server"
    path = tmp_path_factory.mktemp("redis") / "redis.sock"
    arguments = ["--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(path.parent)]
    with subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL) as server:  # noqa: S603 - ours
        try:
            _wait_for(path)
            yield path
        finally:
            server.terminate()


def _wait_for(path: Path) -> None:
    for _ in range(500):
        with closing(socket.socket(socket.AF_UNIX)) as probe:
            if probe.connect_ex(str(path)) == 0:
                return
        time.sleep(0.01)
    raise AssertionError(f"redis-server did not open {path} within five seconds")


@pytest.fixture
async def attempts(socket_path: Path) -> AsyncIterator[RedisAttempts]:
    """Count in a fresh database."""
    counter = RedisAttempts.at(f"unix://{socket_path}", timeout=PATIENCE)
    await counter._client.flushall()
    yield counter
    await counter.close()


async def test_replicas_never_get_one_number_twice(
    attempts: RedisAttempts, socket_path: Path
) -> None:
    """Two replicas, one scope, ten each at once."""
    other = RedisAttempts.at(f"unix://{socket_path}", timeout=PATIENCE)
    numbers = await asyncio.gather(
        *(counter.next(SCOPE) for counter in (attempts, other) for _ in range(10))
    )
    await other.close()
    assert sorted(n for n in numbers if n is not None) == list(range(20))


async def test_a_count_is_kept_as_long_as_the_platform_remembers(attempts: RedisAttempts) -> None:
    """Redis forgets by itself."""
    await attempts.next(SCOPE)
    (key,) = await attempts._client.keys()
    assert 0 < await attempts._client.ttl(key) <= EXPIRY_SECONDS


async def test_two_replicas_with_redis_charge_a_trusted_id_for_each_execution(
    attempts: RedisAttempts, socket_path: Path
) -> None:
    """Conformance 33, from two replicas."""
    other = RedisAttempts.at(f"unix://{socket_path}", timeout=PATIENCE)
    scenes = [Scene(nonce=bytes([n]) * 32, attempts=c) for n, c in enumerate((attempts, other))]
    keys = set()
    for scene in scenes * 3:
        decision = await scene.decide(request_id="id", origin=RequestIdOrigin.TRUSTED)
        assert decision.charge is not None
        keys.add(decision.charge.key)
    await other.close()
    assert len(keys) == 6


async def test_without_redis_there_is_no_number_one_log_line_and_a_pause(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The sidecar goes on with its own count, and does not ask for every call."""
    clock = TurnedClock()
    counter = RedisAttempts.at(f"unix://{tmp_path}/absent.sock")
    counter._monotonic = clock.monotonic
    assert counter.problem == ""
    with caplog.at_level(logging.INFO):
        assert [await counter.next(SCOPE) for _ in range(3)] == [None] * 3
        clock.advance(PAUSE_SECONDS)
        assert await counter.next(SCOPE) is None
    assert [record.message for record in caplog.records] == ["redis_lost"]
    assert counter.problem == "ConnectionError"
    await counter.close()


async def test_a_redis_that_does_not_answer_costs_a_call_no_more_than_the_timeout(
    tmp_path: Path,
) -> None:
    """A listener that says nothing is the same as none."""
    accepted: list[asyncio.StreamWriter] = []
    server = await asyncio.start_unix_server(
        lambda _, writer: accepted.append(writer), tmp_path / "silent.sock"
    )
    counter = RedisAttempts.at(f"unix://{tmp_path}/silent.sock")
    assert await asyncio.wait_for(counter.next(SCOPE), 5) is None
    await counter.close()
    server.close()
    for writer in accepted:
        writer.close()
        await writer.wait_closed()


async def test_it_counts_again_once_redis_is_back(
    socket_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """After the pause, and with a line that says so."""
    clock = TurnedClock()
    counter = RedisAttempts.at(f"unix://{socket_path}", timeout=PATIENCE)
    counter._monotonic = clock.monotonic
    with caplog.at_level(logging.INFO):
        counter._failed(OSError())
        clock.advance(PAUSE_SECONDS)
        number = await counter.next(b"back" * 8)
    await counter.close()
    assert (number, counter.problem) == (0, "")
    assert [record.message for record in caplog.records] == ["redis_lost", "redis_back"]


@pytest.mark.parametrize("url", ["http://:secret@x", "secret"])
def test_an_url_of_something_else_is_a_users_error_without_the_url(url: str) -> None:
    """It may hold a password."""
    with pytest.raises(UserError, match="--redis") as caught:
        RedisAttempts.at(url)
    assert "secret" not in str(caught.value)
