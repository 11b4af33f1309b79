"""The policy in force, while reading its file is slow or fails by a fault of ours."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from sidecar.policy import store as store_module
from sidecar.policy.compiled import Policy
from sidecar.policy.load import load_policy
from sidecar.policy.store import PolicyStore
from tests.unit.policy.stores import INTERVAL, put, text, until, watching


class SlowReading:
    """Reads once it is allowed to go on; `began` is set when a reading waits."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.go_on = threading.Event()
        self.threads: list[threading.Thread] = []
        self.intervals: list[float] = []
        self.collects: list[bool] = []
        self._loop = asyncio.get_running_loop()

    def __call__(self, content: bytes, **where: Any) -> Policy:
        self.threads.append(threading.current_thread())
        self.intervals.append(sys.getswitchinterval())
        self.collects.append(gc.isenabled())
        self._loop.call_soon_threadsafe(self.began.set)
        assert self.go_on.wait(30)
        return load_policy(content, **where)


async def test_a_look_during_a_slow_reading_does_not_bring_back_older_bytes(
    file: Path, store: PolicyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks again once it is its turn."""
    slow = SlowReading()
    monkeypatch.setattr(store_module, "load_policy", slow)
    put(file, text("second"))
    first = asyncio.create_task(store.reload())
    await slow.began.wait()
    put(file, text("older"))
    look = asyncio.create_task(store._look(settle=0))
    second = asyncio.create_task(store.reload())
    await asyncio.sleep(INTERVAL)
    put(file, text("newest"))
    slow.go_on.set()
    await asyncio.gather(first, look, second)
    assert store.current.product == "newest"


async def test_a_reload_is_read_in_a_thread_that_yields_often(
    file: Path, store: PolicyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls are served meanwhile; afterwards threads and the collector run as usual again."""
    usual = sys.getswitchinterval()
    slow = SlowReading()
    monkeypatch.setattr(store_module, "load_policy", slow)
    put(file, text("second"))
    reload = asyncio.create_task(store.reload())
    await slow.began.wait()
    assert store.current.product == "first"
    slow.go_on.set()
    await reload
    assert slow.threads != [threading.main_thread()]
    assert slow.intervals < [usual]
    assert slow.collects == [False]
    assert (sys.getswitchinterval(), gc.isenabled()) == (usual, True)


async def test_a_fault_of_ours_leaves_the_file_watched(
    file: Path,
    store: PolicyStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is logged once, and the next change is seen."""

    def fail(*_: object, **__: object) -> Policy:
        raise RuntimeError("ours")

    async with watching(store):
        with monkeypatch.context() as patched:
            patched.setattr(store_module, "load_policy", fail)
            put(file, text("second"))
            await until(lambda: "policy_look_failed" in caplog.messages)
            await asyncio.sleep(INTERVAL * 5)
        put(file, text("third"))
        await until(lambda: store.current.product == "third")
    assert caplog.messages.count("policy_look_failed") == 1


async def test_a_watch_reloads_at_once_when_asked(file: Path, store: PolicyStore) -> None:
    """As for SIGHUP: it does not wait for its next look."""
    watch = asyncio.create_task(store.watch(interval=3600))
    put(file, text("second"))
    store.reload_soon()
    await until(lambda: store.current.product == "second")
    watch.cancel()
