"""The wiring: what is started is ended, whatever fails on the way, and nothing is left behind."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sidecar.admission.journal_records import FILE_HEAD
from sidecar.app.wiring import App
from sidecar.domain.errors import UserError
from sidecar.telemetry.logs import TextFormatter
from sidecar.telemetry.redaction import Redactor
from tests.e2e.harness import KEY, SESSION_SECRET, Place, Stack, policy, stack

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Settings that work, with nobody around."""
    policy_file = tmp_path / "policy.yaml"
    policy_file.write_text(policy())
    environ = {"PLATFORM_INTERNAL_KEY": KEY, "APP_SESSION_SECRET": SESSION_SECRET}
    return Place(policy_file, NOBODY, NOBODY, NOBODY, environ)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def made(place: Place, **flags: object) -> App:
    """Make an app of these flags."""
    return App(place.settings(**flags), place.environ)


def others() -> set[str]:
    """Return the names of all other tasks."""
    return {task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()}


def open_sockets() -> int:
    """Count the sockets that this process has open."""
    links = Path("/proc/self/fd")
    if not links.is_dir():
        return 0
    found = 0
    for link in links.iterdir():
        try:
            found += str(link.readlink()).startswith("socket:")
        except OSError:
            continue  # it was the listing's own
    return found


async def test_nothing_is_left_after_stop(place: Place) -> None:
    """No task, no socket."""
    before, sockets = others(), open_sockets()
    app = made(place)
    await app.start()
    assert others() - before
    assert await app.stop()
    await asyncio.sleep(0)
    assert others() == before
    assert open_sockets() == sockets


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("port", "{taken}"),
        ("admin", "127.0.0.1:{taken}"),
        ("host", "203.0.113.7"),  # of nobody's machine (RFC 5737)
        ("journal", "/nowhere/journal"),
        ("redis", "rediss://[:x"),
    ],
)
async def test_nothing_is_left_after_a_start_that_failed(
    place: Place, taken: int, flag: str, value: str
) -> None:
    """Whatever could not be had, what was started before it is ended."""
    before, sockets = others(), open_sockets()
    try:
        app = made(place, **{flag: value.format(taken=taken)})
    except UserError:
        assert flag == "redis"  # it is looked at before anything is started
        return
    with pytest.raises(UserError):
        await app.start()
    await asyncio.sleep(0)
    assert others() == before
    assert open_sockets() == sockets


async def test_a_policy_that_cannot_be_used_starts_nothing(place: Place) -> None:
    """Its problem is a UserError."""
    place.policy_file.write_text("version: 2\n")
    with pytest.raises(UserError, match=r"policy\.yaml:1:"):
        await made(place).start()


async def test_stop_without_start_is_nothing(place: Place) -> None:
    """So are stopping twice, hurrying and reloading at any time."""
    app = made(place)
    app.hurry()
    app.begin_reload()
    assert await app.stop()
    await app.start()
    assert await app.stop()
    assert await app.stop()
    app.hurry()


async def test_urls_name_this_machine(place: Place) -> None:
    """What listens on every address is reached on this one."""
    app = made(place, host="0.0.0.0")
    await app.start()
    try:
        assert app.url == f"http://127.0.0.1:{app.port}"
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{app.admin_url}/health")).status_code == 200
            assert (await client.get(f"{app.url}/x")).status_code == 502
    finally:
        await app.stop(0)


async def test_credentials_are_hidden_before_they_are_used(place: Place, tmp_path: Path) -> None:
    """The redactor knows the key, the session secret and the Redis URL; a new key as well."""
    redactor = Redactor()
    key_file = tmp_path / "key"
    key_file.write_text("plain-key-of-the-file")
    redis = "redis://:redis-password@127.0.0.1:9/0"
    app = App(place.settings(key_file=key_file, redis=redis), place.environ, redactor)
    await app.start()
    try:
        for secret in ("plain-key-of-the-file", SESSION_SECRET, redis):
            assert secret not in redactor.text(f"<{secret}>")
    finally:
        await app.stop(0)


async def test_a_session_secret_is_learnt_with_its_policy(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """One that a reload brings is hidden as well; one that can be guessed is told, not shown."""
    redactor = Redactor()
    app = App(place.settings(), place.environ | {"WEAK": "guessable"}, redactor)
    await app.start()
    try:
        assert "session_secret_weak" not in caplog.messages
        identity = [{"cookie": "other_session", "secret_env": "WEAK"}]
        place.policy_file.write_text(policy(identity=identity))
        await app.status.reload()
        assert "guessable" not in redactor.text("<guessable>")
        [told] = [each for each in caplog.records if each.message == "session_secret_weak"]
        line = TextFormatter(redactor).format(told)
        assert "source=other_session " in line
        assert "has 9 bytes" in line
        assert "guessable" not in line
    finally:
        await app.stop(0)


async def test_a_task_that_fails_is_logged(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A background task that ends by itself is a fault, with its name and its traceback."""

    async def broken(*_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr("sidecar.policy.store.PolicyStore.watch", broken)
    app = made(place)
    with caplog.at_level(logging.ERROR, "sidecar.app"):
        await app.start()
        await asyncio.sleep(0.01)
        await app.stop(0)
    [record] = [each for each in caplog.records if each.getMessage() == "task_failed"]
    assert record.__dict__["task"] == "policy watch"
    assert record.exc_info is not None


async def test_a_damaged_journal_is_told(
    place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It starts with what can be read, and says how much cannot."""
    journal = tmp_path / "journal"
    app = made(place, journal=journal)
    await app.start()
    await app.stop(0)
    damage = b"no record of ours" * 3
    journal.write_bytes(FILE_HEAD + damage)
    app = made(place, journal=journal)
    with caplog.at_level(logging.ERROR, "sidecar.app"):
        await app.start()
        await app.stop(0)
    [told] = [each for each in caplog.records if each.getMessage() == "journal_damaged"]
    assert told.__dict__["bytes"] == len(damage)


async def test_a_journal_is_held_by_one(place: Place, tmp_path: Path) -> None:
    """A second sidecar on the same file is told so, and given the file when the first ends."""
    first, second = (made(place, journal=tmp_path / "journal") for _ in range(2))
    await first.start()
    with pytest.raises(UserError, match="another process holds it"):
        await second.start()
    await first.stop(0)
    await second.start()
    await second.stop(0)


async def test_what_was_not_reported_is_reported_after_a_restart(tmp_path: Path) -> None:
    """The journal outlives the process that wrote it."""
    async with stack(journal=tmp_path / "journal") as s:
        await s.fault(status=500)
        assert (await s.call()).headers["x-quota-decision"] == "fail_open"
        await s.stop()
        await s.fault()
        assert s.charges() == 0
        app = App(s.place.settings(journal=tmp_path / "journal"), s.place.environ)
        await app.start()
        again = Stack(s.place, s.platform, s.upstream, [app])
        page = await again.reported()
        await again.client.aclose()
        await app.stop(0)
        assert s.charges() == 1
        assert page.sum("journal_replayed_units_total", outcome="counted") == 1


async def test_a_worker_has_no_admin_port(place: Place) -> None:
    """Its parent has one for all; two workers share one port."""
    first = App(place.settings(), place.environ, worker=True)
    await first.start()
    second = App(place.settings(port=first.port), place.environ, worker=True)
    await second.start()
    try:
        assert second.port == first.port
        assert first.admin_url == "http://:0"
        assert next(first.parts()).values
        assert first.status.circumstances().draining is False
    finally:
        for app in (first, second):
            await app.stop(0)


async def test_there_is_no_status_before_the_start(place: Place) -> None:
    """Asking too early is a fault of the caller."""
    with pytest.raises(RuntimeError, match="not been started"):
        _ = made(place).status
