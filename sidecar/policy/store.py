"""The policy in force: swapped whole when its file changes, kept when the file is bad."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Final

from sidecar.domain.ports import PolicyObserver
from sidecar.policy.compiled import Policy
from sidecar.policy.file import read_policy_file
from sidecar.policy.problems import PolicyError, UnreadError
from sidecar.policy.reading import Reader

_LOG: Final = logging.getLogger("sidecar.policy")
_PATIENCE: Final = 3
"""Looks at a missing file before that counts as a rejection: editors and mounts replace files."""
_LONGEST_REST: Final = 60
"""Looks that are left out, at most, after readings that came to grief."""


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
        found: Callable[[Policy | PolicyError], None] | None = None,
    ) -> None:
        """Begin with `policy`, which `path` held; `read` makes policies of what it holds later.

        `before_use` hears of each policy before it is in force: its secrets are learnt first.
        `found` hears how each reload ended: with a policy, maybe the same, or with what is wrong.
        """
        self.path: Final = path
        self._read = read
        self._observer = observer
        self._before_use = before_use
        self._error: PolicyError | None = None
        self._found = found
        self._reading = asyncio.Lock()
        self._absent = 0
        self._mishaps = 0
        self._rest = 0
        self._grieved: str | None = None
        self._seen: str | None = policy.hash
        self._current = policy
        if before_use is not None:
            before_use(policy)

    @property
    def current(self) -> Policy:
        """The last good policy."""
        return self._current

    @property
    def error(self) -> PolicyError | None:
        """Why the file as it stands is not in force; None when it is."""
        return self._error

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
        async with self._reading:
            data = await self._content()
            return self._miss(data) if isinstance(data, PolicyError) else await self._take(data)

    async def watch(self, interval: float = 1.0) -> None:
        """Reload when the file's content changes, until cancelled; look every `interval` seconds.

        The content is compared, not the file's times: symlinks that are swapped, files renamed
        over, and clocks make no difference. A file that is still being written is left alone
        until two looks at it agree; one that is away for a moment is waited for. Where a reading
        came to grief the next one waits for twice as long, up to a minute.
        """
        while True:
            await asyncio.sleep(interval)
            try:
                await self._look(settle=interval / 4)
            except Exception:  # noqa: BLE001 - a fault of ours must not leave the file unwatched
                _LOG.exception("policy_look_failed", extra={"policy_file": str(self.path)})

    def adopt(self, found: Policy | PolicyError) -> ReloadOutcome:
        """Put a policy in force, or keep the last good one and tell what is wrong with the file."""
        if isinstance(found, PolicyError):
            outcome = self._reject(found)
        elif found.hash == self._current.hash:
            outcome = self._keep()
        else:
            outcome = self._swap(found)
        if self._found is not None:
            self._found(found)
        return outcome

    async def _look(self, *, settle: float) -> None:
        seen = await self._content()
        if isinstance(seen, bytes):
            digest = _digest(seen)
            if digest == self._seen:
                self._absent = 0
                return
            if digest == self._grieved and self._rest:
                self._rest -= 1
                return
        await asyncio.sleep(settle)
        async with self._reading:
            data = await self._content()
            if isinstance(data, PolicyError):
                self._absent += 1
                if self._absent == _PATIENCE:
                    self._miss(data)
            elif data == seen:
                self._absent = 0
                if _digest(data) != self._seen:  # else a reload was quicker
                    await self._take(data)

    async def _content(self) -> bytes | PolicyError:
        try:
            return await asyncio.to_thread(read_policy_file, self.path)
        except PolicyError as error:
            return error

    async def _take(self, data: bytes) -> ReloadOutcome:
        """Put what the file held in force, if it can be."""
        self._seen = digest = _digest(data)
        found: Policy | PolicyError = self._current
        try:
            if digest != self._current.hash:
                found = await self._read(data)
        except UnreadError as error:
            self._seen, self._grieved = None, digest
            self._mishaps += 1
            self._rest = min(1 << self._mishaps, _LONGEST_REST)
            return self.adopt(error)
        except PolicyError as error:
            found = error
        self._grieved = None
        self._mishaps = self._rest = 0
        return self.adopt(found)

    def _miss(self, error: PolicyError) -> ReloadOutcome:
        """Tell of a file that is not there; whatever comes back in its place is news."""
        self._seen = None
        return self.adopt(error)

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
