"""The policy in force: swapped whole when its file changes, kept when the file is bad."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

from sidecar.policy.compiled import Policy
from sidecar.policy.load import load_policy
from sidecar.policy.problems import PolicyError, Problem
from sidecar.policy.source import MAX_BYTES
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
        environ: Mapping[str, str],
        observer: PolicyObserver | None = None,
        *,
        before_use: Callable[[Policy], None] | None = None,
    ) -> None:
        """Load the file. Raises PolicyError with every problem when it cannot be used.

        `before_use` hears of each policy before it is in force: its secrets are learnt first.
        """
        self.path: Final = path
        self._environ = environ
        self._observer = observer
        self._before_use = before_use
        self._error: PolicyError | None = None
        self._attempts = 0
        self._absent = 0
        data = read_policy_file(path)
        self._seen: str | None = _digest(data)
        self._current = load_policy(data, file=str(path), environ=environ)
        if before_use is not None:
            before_use(self._current)

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

    def reload(self) -> ReloadOutcome:
        """Read the file again now. A bad file changes nothing but `last_error`."""
        self._attempts += 1
        try:
            data = read_policy_file(self.path)
            self._seen = _digest(data)
            if self._seen == self._current.hash:
                return self._keep()
            return self._swap(load_policy(data, file=str(self.path), environ=self._environ))
        except PolicyError as error:
            return self._reject(error)

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
        attempt = self._attempts
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
            if self._absent == _PATIENCE and attempt == self._attempts:
                self._seen = None
                self._reject(error)
            return
        self._absent = 0
        await self._load(data, attempt)

    async def _load(self, data: bytes, attempt: int) -> None:
        """Compile in a thread, so that no call waits for it; an explicit reload goes first."""
        policy: Policy | PolicyError
        try:
            policy = await asyncio.to_thread(
                load_policy, data, file=str(self.path), environ=self._environ
            )
        except PolicyError as error:
            policy = error
        if attempt != self._attempts:
            return
        self._seen = _digest(data)
        if isinstance(policy, PolicyError):
            self._reject(policy)
        elif policy.hash == self._current.hash:
            self._keep()
        else:
            self._swap(policy)

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


def read_policy_file(path: Path) -> bytes:
    """Return the file's bytes, one more at most than a policy may have.

    Raises PolicyError when it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}; name a readable file"
        raise PolicyError([Problem(str(path), 1, 1, reason)]) from None


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
