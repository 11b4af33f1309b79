"""The policy in force, while its file changes in every way that files do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.policy import store as store_module
from sidecar.policy.compiled import Policy
from sidecar.policy.problems import PolicyError, PolicyProblem
from sidecar.policy.store import PolicyStore, ReloadOutcome
from tests.fakes.policy import NotingPolicyObserver
from tests.unit.policy.stores import (
    BAD,
    INTERVAL,
    WRONG,
    opened,
    put,
    put_unseen,
    remove,
    text,
    until,
    watching,
)


def test_loads_at_construction(store: PolicyStore, observer: NotingPolicyObserver) -> None:
    """A store without a policy does not exist; the first load is no reload."""
    assert (store.current.product, store.last_error, observer.outcomes) == ("first", None, [])


async def test_a_policy_is_told_before_it_is_in_force(file: Path) -> None:
    """Its secrets can be learnt first; a rejected or an unchanged one is not told."""
    told: list[tuple[str, str]] = []
    stores: list[PolicyStore] = []

    def hear(policy: Policy) -> None:
        told.append((policy.product, stores[0].current.product if stores else ""))

    stores.append(opened(file, before_use=hear))
    for content in (text("first"), BAD, text("second")):
        put(file, content)
        await stores[0].reload()
    assert told == [("first", ""), ("second", "first")]


async def test_a_policy_that_is_refused_before_its_use_changes_nothing(file: Path) -> None:
    """A valid policy may ask for what the store's owner cannot keep."""

    def refuse(policy: Policy) -> None:
        if policy.product == "second":
            raise PolicyError([PolicyProblem(str(file), 0, 0, "not here")])

    found = opened(file, before_use=refuse)
    put(file, text("second"))
    assert await found.reload() is ReloadOutcome.REJECTED
    assert found.current.product == "first"
    assert found.last_error is not None


async def test_reload_takes_a_good_file(
    file: Path, store: PolicyStore, observer: NotingPolicyObserver
) -> None:
    """The new policy replaces the old one, whole."""
    before = store.current
    put(file, text("second"))
    assert await store.reload() is ReloadOutcome.LOADED
    assert (before.product, store.current.product) == ("first", "second")
    assert observer.outcomes == ["loaded"]


async def test_reload_of_the_same_bytes_changes_nothing(
    store: PolicyStore, observer: NotingPolicyObserver
) -> None:
    """The policy's caches live on."""
    before = store.current
    assert await store.reload() is ReloadOutcome.UNCHANGED
    assert store.current is before
    assert observer.outcomes == ["unchanged"]


async def test_reload_of_a_bad_file_keeps_the_last_good_policy(
    file: Path, store: PolicyStore, observer: NotingPolicyObserver
) -> None:
    """It says so, and goes on."""
    before = store.current
    put(file, BAD)
    assert await store.reload() is ReloadOutcome.REJECTED
    assert store.current is before
    assert WRONG in str(store.last_error)
    assert observer.outcomes == ["rejected"]


async def test_reload_of_an_absent_file_is_rejected(file: Path, store: PolicyStore) -> None:
    """Asked to reload now, the store does not wait for the file."""
    remove(file)
    assert await store.reload() is ReloadOutcome.REJECTED


async def test_going_back_to_the_last_good_file_mends_the_error(
    file: Path, store: PolicyStore
) -> None:
    """Nothing is wrong any more."""
    put(file, BAD)
    await store.reload()
    put(file, text("first"))
    assert (await store.reload(), store.last_error) == (ReloadOutcome.UNCHANGED, None)


async def test_going_back_to_the_last_good_file_is_logged(
    file: Path, store: PolicyStore, caplog: pytest.LogCaptureFixture
) -> None:
    """The log's last word must not be that the policy was rejected."""
    caplog.set_level(logging.INFO, logger="sidecar.policy")
    put(file, BAD)
    await store.reload()
    put(file, text("first"))
    await store.reload()
    await store.reload()
    assert [record.message for record in caplog.records] == ["policy_rejected", "policy_restored"]


async def test_reloads_are_logged(
    file: Path, store: PolicyStore, caplog: pytest.LogCaptureFixture
) -> None:
    """One line each, with what an operator needs to know."""
    caplog.set_level(logging.INFO, logger="sidecar.policy")
    put(file, text("second"))
    await store.reload()
    put(file, BAD)
    await store.reload()
    loaded, rejected = caplog.records
    assert (loaded.message, loaded.levelname) == ("policy_loaded", "INFO")
    assert vars(loaded)["policy_hash"] == store.current.hash
    assert (rejected.message, rejected.levelname) == ("policy_rejected", "ERROR")
    assert vars(rejected)["problem_count"] == 1
    assert vars(rejected)["problems"] == [f"{file}:4:53: {WRONG}, not 0"]
    assert store.problems == (f"{file}:4:53: {WRONG}, not 0",)


async def test_watch_sees_a_file_written_in_place(file: Path, store: PolicyStore) -> None:
    """Content is compared: the same size and the same times hide nothing."""
    async with watching(store):
        put_unseen(file, text("fir5t"))
        await until(lambda: store.current.product == "fir5t")


async def test_watch_sees_a_file_renamed_over(file: Path, store: PolicyStore) -> None:
    """As editors and deployment tools write."""
    async with watching(store):
        other = file.with_suffix(".new")
        other.write_text(text("second"))
        other.replace(file)
        await until(lambda: store.current.product == "second")


async def test_watch_sees_a_swapped_symlink(tmp_path: Path) -> None:
    """As a ConfigMap changes: `..data` is renamed onto another directory."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "policy.yaml").write_text(text(name))
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "policy.yaml").symlink_to("..data/policy.yaml")
    store = opened(tmp_path / "policy.yaml")
    async with watching(store):
        (tmp_path / "..data_tmp").symlink_to("two")
        (tmp_path / "..data_tmp").replace(tmp_path / "..data")
        await until(lambda: store.current.product == "two")


async def test_watch_rejects_a_bad_file_once(
    file: Path, store: PolicyStore, observer: NotingPolicyObserver
) -> None:
    """One bad file is one rejection, however long it stays, and the next good one rules."""
    async with watching(store):
        put(file, BAD)
        await until(lambda: store.last_error is not None)
        await asyncio.sleep(INTERVAL * 5)
        put(file, text("third"))
        await until(lambda: store.current.product == "third")
    assert observer.outcomes == ["rejected", "loaded"]
    assert store.last_error is None


async def test_watch_tells_when_the_bad_file_is_taken_back(
    file: Path, store: PolicyStore, observer: NotingPolicyObserver
) -> None:
    """The good file was in force all the while."""
    async with watching(store):
        put(file, BAD)
        await until(lambda: store.last_error is not None)
        put(file, text("first"))
        await until(lambda: store.last_error is None)
    assert observer.outcomes == ["rejected", "unchanged"]


async def test_watch_rejects_a_file_that_stays_away(
    file: Path, store: PolicyStore, observer: NotingPolicyObserver
) -> None:
    """Once, and the same bytes coming back fix it."""
    async with watching(store):
        remove(file)
        await until(lambda: store.last_error is not None)
        await asyncio.sleep(INTERVAL * 5)
        put(file, text("first"))
        await until(lambda: store.last_error is None)
    assert observer.outcomes == ["rejected", "unchanged"]


Look = bytes | None
"""What one look at the file finds; None: it is not there."""


def scripted(monkeypatch: pytest.MonkeyPatch, looks: list[Look]) -> Iterator[Look]:
    """Let the store find one thing after the other, the last one for good."""
    script = iter(looks)
    last = looks[-1]

    def read(path: Path) -> bytes:
        found = next(script, last)
        if found is None:
            raise PolicyError([PolicyProblem(str(path), 1, 1, "cannot be read")])
        return found

    monkeypatch.setattr(store_module, "read_policy_file", read)
    return script


async def test_watch_leaves_a_half_written_file_alone(
    store: PolicyStore, observer: NotingPolicyObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a policy may be a good policy with routes missing: two looks must agree."""
    whole = text("second").encode()
    scripted(monkeypatch, [whole[:20], whole[:40], whole[:60], whole])
    async with watching(store):
        await until(lambda: store.current.product == "second")
    assert observer.outcomes == ["loaded"]


async def test_watch_waits_for_a_file_that_is_away_for_a_moment(
    store: PolicyStore, observer: NotingPolicyObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two looks a file may be missing, or vanish between look and look again."""
    whole = text("second").encode()
    scripted(monkeypatch, [None, None, whole, None, whole])
    async with watching(store):
        await until(lambda: store.current.product == "second")
    assert observer.outcomes[-1] == "loaded"


async def test_explicit_reload_goes_before_a_watch_under_way(
    file: Path, store: PolicyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the watch saw before it does not replace what was loaded meanwhile."""
    looked, loaded = asyncio.Event(), asyncio.Event()

    async def settle(_: float) -> None:
        looked.set()
        await loaded.wait()

    put(file, text("older"))
    with monkeypatch.context() as patched:
        patched.setattr("asyncio.sleep", settle)
        look = asyncio.create_task(store._look(settle=0))
        await looked.wait()
    put(file, text("newest"))
    await store.reload()
    loaded.set()
    await look
    assert store.current.product == "newest"


async def test_a_missing_file_that_comes_back_as_it_was_is_news(
    file: Path, store: PolicyStore, observer: NotingPolicyObserver
) -> None:
    """A reload that found nothing is fixed by the same bytes."""
    remove(file)
    assert await store.reload() is ReloadOutcome.REJECTED
    put(file, text("first"))
    async with watching(store):
        await until(lambda: store.last_error is None)
    assert observer.outcomes == ["rejected", "unchanged"]


async def test_what_was_found_is_passed_on(file: Path) -> None:
    """After each reload: the content in force, or the problems."""
    passed: list[bytes | str] = []

    def found(what: bytes | PolicyError) -> None:
        passed.append(what if isinstance(what, bytes) else "rejected")

    store = opened(file, found=found)
    for content in (text("second"), text("second"), BAD, text("second")):
        put(file, content)
        await store.reload()
    second = text("second").encode()
    assert passed == [second, second, "rejected", second]
    assert store.content == second


async def test_what_another_process_found_is_taken(
    file: Path, store: PolicyStore, observer: NotingPolicyObserver
) -> None:
    """Good bytes, bad ones, or a file that could not be read: all as by a reload."""
    unreadable = PolicyError([PolicyProblem(str(file), 1, 1, "cannot be read")])
    for found in (text("second").encode(), unreadable, BAD.encode()):
        await store.take(found)
    assert store.current.product == "second"
    assert WRONG in str(store.last_error)
    assert observer.outcomes == ["loaded", "rejected", "rejected"]


async def test_reloads_go_one_after_the_other(
    file: Path, store: PolicyStore, observer: NotingPolicyObserver
) -> None:
    """The one that was asked for last reads the file last."""
    put(file, text("second"))
    assert [*await asyncio.gather(store.reload(), store.reload())] == [
        ReloadOutcome.LOADED,
        ReloadOutcome.UNCHANGED,
    ]
    assert observer.outcomes == ["loaded", "unchanged"]
