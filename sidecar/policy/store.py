"""The policy in force: swapped whole when its file changes, kept when the file is bad."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Final

from sidecar.policy.compiled import Policy
from sidecar.policy.file import read_policy_file
from sidecar.policy.problems import PolicyError
from sidecar.policy.reading import Reader
from sidecar.ports import PolicyObserver

_LOG: Final = logging.getLogger("sidecar.policy")
_PATIENCE: Final = 3
"""Looks at a missing file before that counts as a rejection: editors and mounts replace files."""


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
        policy: Policy,
        read: Reader,
        observer: PolicyObserver | None = None,
        *,
        before_use: Callable[[Policy], None] | None = None,
    ) -> None:
        """Begin with `policy`, which `path` held; `read` makes policies of what it holds later.

        `before_use` hears of each policy before it is in force: its secrets are learnt first.
        """
        self.path: Final = path
        self._read = read
        self._observer = observer
        self._before_use = before_use
        self._error: PolicyError | None = None
        self._reading = asyncio.Lock()
        self._reloads = 0
        self._absent = 0
        self._seen: str | None = policy.hash
        self._current = policy
        if before_use is not None:
            before_use(policy)

    @property
    def current(self) -> Policy:
        """The last good policy."""
        return self._current

    @property
    def last_error(self) -> str | None:
        """Why the file as it stands is not in force: one line; None when it is."""
        return None if self._error is None else str(self._error)

    @property
    def problems(self) -> tuple[str, ...]:
        """Everything that is wrong with the file as it stands; empty when it is in force."""
        return () if self._error is None else tuple(map(str, self._error.problems))

    async def reload(self) -> ReloadOutcome:
        """Read the file again now. A bad file changes nothing but `last_error`."""
        self._reloads += 1
        async with self._reading:
            try:
                data = await asyncio.to_thread(read_policy_file, self.path)
            except PolicyError as error:
                return self._reject(error)
            return await self._take(data)

    async def watch(self, interval: float = 1.0) -> None:
        """Reload when the file's content changes, until cancelled; look every `interval` seconds.

        The content is compared, not the file's times: symlinks that are swapped, files renamed
        over, and clocks make no difference. A file that is still being written is left alone
        until two looks at it agree; one that is away for a moment is waited for.
        """
        while True:
            await asyncio.sleep(interval)
            await self._look(settle=interval / 4)

    async def _look(self, *, settle: float) -> None:
        reloads = self._reloads
        try:
            data = await asyncio.to_thread(read_policy_file, self.path)
            if _digest(data) == self._seen:
                self._absent = 0
                return
            await asyncio.sleep(settle)
            if await asyncio.to_thread(read_policy_file, self.path) != data:
                return
        except PolicyError as error:
            self._absent += 1
            if self._absent == _PATIENCE and reloads == self._reloads:
                self._seen = None
                self._reject(error)
            return
        self._absent = 0
        async with self._reading:
            if reloads == self._reloads:  # else somebody has read the file after us
                await self._take(data)

    async def _take(self, data: bytes) -> ReloadOutcome:
        """Put what the file held in force, if it can be."""
        self._seen = _digest(data)
        if self._seen == self._current.hash:
            return self._keep()
        try:
            return self._swap(await self._read(data))
        except PolicyError as error:
            return self._reject(error)

    def _swap(self, policy: Policy) -> ReloadOutcome:
        before = self._current.hash
        if self._before_use is not None:
            self._before_use(policy)
        self._current = policy
        self._error = None
        _LOG.info(
            "policy_loaded",
            extra={
                "policy_file": str(self.path),
                "policy_hash": policy.hash,
                "replaced_hash": before,
                "routes": len(policy.routes),
            },
        )
        return self._ended(ReloadOutcome.LOADED)

    def _keep(self) -> ReloadOutcome:
        self._error = None
        return self._ended(ReloadOutcome.UNCHANGED)

    def _reject(self, error: PolicyError) -> ReloadOutcome:
        self._error = error
        _LOG.error(
            "policy_rejected",
            extra={
                "policy_file": str(self.path),
                "policy_hash": self._current.hash,
                "problems": [str(problem) for problem in error.problems[:20]],
                "problem_count": len(error.problems),
            },
        )
        return self._ended(ReloadOutcome.REJECTED)

    def _ended(self, outcome: ReloadOutcome) -> ReloadOutcome:
        if self._observer is not None:
            self._observer.policy_reloaded(outcome.value)
        return outcome


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
