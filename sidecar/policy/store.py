"""The policy in force: replaced whole when its file changes, kept when the file is bad.

A changed file is read in a thread, beside the calls that are served.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import logging
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

from sidecar.domain.ports import PolicyObserver
from sidecar.policy.compiled import Policy
from sidecar.policy.file import read_policy_file
from sidecar.policy.load import load_policy
from sidecar.policy.problems import PolicyError

_LOG: Final = logging.getLogger("sidecar.policy")
_PATIENCE: Final = 3
"""Looks at a missing file before that counts as a rejection: editors and mounts replace files."""
_USUAL_SWITCH_SECONDS: Final = sys.getswitchinterval()
_SWITCH_SECONDS: Final = 0.0005
"""How long the thread that reads keeps the interpreter while the event loop waits for it."""


class ReloadOutcome(StrEnum):
    """How a reload ended; the same words label `policy_reload_total`."""

    LOADED = "loaded"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"


class PolicyStore:
    """Holds the last good policy of a file. Belongs to one event loop.

    Readers take `current` once per call and keep it: it is never changed, only replaced.
    """

    def __init__(
        self,
        path: Path,
        content: bytes,
        environ: Mapping[str, str],
        observer: PolicyObserver | None = None,
        *,
        before_use: Callable[[Policy], None] | None = None,
        found: Callable[[bytes | PolicyError], None] | None = None,
    ) -> None:
        """Begin with `content`, which `path` held. Raises PolicyError with every problem.

        `environ` has the secrets that policies name. `before_use` is called with each policy before
        it is in force: its secrets are hidden first, and it may raise PolicyError too. `found` is
        called after each reload, with the content in force or with what is wrong.
        """
        self.path: Final = path
        self._environ = environ
        self._observer = observer
        self._before_use = before_use
        self._found = found
        self.error: PolicyError | None = None
        """Why the file's present content is not in force; None when it is."""
        self._reloading = asyncio.Lock()
        self._asked = asyncio.Event()
        self._absent = 0
        self.content = content
        """What the file held when the last good policy was read from it."""
        self.current = load_policy(content, file=str(path), environ=environ)
        self._seen: str | None = self.current.hash
        if before_use is not None:
            before_use(self.current)

    @property
    def last_error(self) -> str | None:
        """`error` as one line."""
        return None if self.error is None else str(self.error)

    @property
    def problems(self) -> tuple[str, ...]:
        """Everything that is wrong with the file's present content; empty when it is in force."""
        return () if self.error is None else tuple(map(str, self.error.problems))

    async def reload(self) -> ReloadOutcome:
        """Read the file again now. A bad file changes nothing but `error`."""
        async with self._reloading:
            return await self._take(await self._read_file())

    async def take(self, found: bytes | PolicyError) -> ReloadOutcome:
        """Do as `reload` does, with what another process found in the file."""
        async with self._reloading:
            return await self._take(found)

    def reload_soon(self) -> None:
        """Have `watch` reload now."""
        self._asked.set()

    async def watch(self, interval: float = 1.0) -> None:
        """Reload when the file's content changes, until cancelled; look every `interval` seconds.

        The content is compared, not the file's times: swapped symlinks, files renamed over and
        clocks make no difference. A file that is still being written is left alone until two looks
        at it agree; one that is missing for a moment is waited for.
        """
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(interval):
                    await self._asked.wait()
            try:
                if self._asked.is_set():
                    self._asked.clear()
                    await self.reload()
                else:
                    await self._look(settle=interval / 4)
            except Exception:  # noqa: BLE001 - a fault of ours must not leave the file unwatched
                _LOG.exception("policy_look_failed", extra={"policy_file": str(self.path)})

    async def _look(self, *, settle: float) -> None:
        seen = await self._read_file()
        if isinstance(seen, bytes) and _digest(seen) == self._seen:
            self._absent = 0
            return
        await asyncio.sleep(settle)
        async with self._reloading:
            found = await self._read_file()
            if isinstance(found, PolicyError):
                self._absent += 1
                if self._absent == _PATIENCE:
                    await self._take(found)
            elif found == seen:
                self._absent = 0
                if _digest(found) != self._seen:  # else a reload was quicker
                    await self._take(found)

    async def _read_file(self) -> bytes | PolicyError:
        try:
            return await asyncio.to_thread(read_policy_file, self.path)
        except PolicyError as error:
            return error

    async def _take(self, found: bytes | PolicyError) -> ReloadOutcome:
        if isinstance(found, PolicyError):
            self._seen = None  # any content that comes back in its place is news
            outcome = self._reject(found)
        else:
            self._seen = _digest(found)
            outcome = await self._judge(found)
        if self._observer is not None:
            self._observer.policy_reloaded(outcome.value)
        if self._found is not None:
            self._found(self.content if self.error is None else self.error)
        return outcome

    async def _judge(self, content: bytes) -> ReloadOutcome:
        if self._seen == self.current.hash:
            if self.error is not None:  # else the log's last word is that the file is wrong
                extra = {"policy_file": str(self.path), "policy_hash": self.current.hash}
                _LOG.info("policy_restored", extra=extra)
            self.error = None
            return ReloadOutcome.UNCHANGED
        try:
            policy = await self._load(content)
            if self._before_use is not None:
                self._before_use(policy)
        except PolicyError as error:
            return self._reject(error)
        self.content = content
        return self._swap(policy)

    async def _load(self, content: bytes) -> Policy:
        """Read a policy in a thread. It yields to the event loop more often than threads do.

        The collector waits: a pass over what a thousand routes are read into stops all threads for
        11 ms, and finds nothing.
        """
        file, collects = str(self.path), gc.isenabled()
        sys.setswitchinterval(_SWITCH_SECONDS)
        gc.disable()
        try:
            return await asyncio.to_thread(load_policy, content, file=file, environ=self._environ)
        finally:
            sys.setswitchinterval(_USUAL_SWITCH_SECONDS)
            if collects:
                gc.enable()

    def _swap(self, policy: Policy) -> ReloadOutcome:
        before = self.current.hash
        self.current = policy
        self.error = None
        _LOG.info(
            "policy_loaded",
            extra={
                "policy_file": str(self.path),
                "policy_hash": policy.hash,
                "replaced_hash": before,
                "routes": len(policy.routes),
            },
        )
        return ReloadOutcome.LOADED

    def _reject(self, error: PolicyError) -> ReloadOutcome:
        self.error = error
        _LOG.error(
            "policy_rejected",
            extra={
                "policy_file": str(self.path),
                "policy_hash": self.current.hash,
                "problems": [str(problem) for problem in error.problems[:20]],
                "problem_count": len(error.problems),
            },
        )
        return ReloadOutcome.REJECTED


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
