"""The messages of supervisor and worker, over a socket pair that only they hold."""

from __future__ import annotations

import asyncio
import pickle
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sidecar.admin.readiness import Circumstances
from sidecar.admin.state import AdminView
from sidecar.domain.errors import SidecarError
from sidecar.domain.quota import Quota
from sidecar.domain.share import Share
from sidecar.policy.problems import PolicyProblem
from sidecar.settings.run import Settings
from sidecar.telemetry.snapshot import Snapshot

_LENGTH_BYTES: Final = 4
_MOST_BYTES: Final = 64 * 1024 * 1024


class LinkClosedError(SidecarError):
    """The process at the other end is gone."""


class Command(StrEnum):
    """What the supervisor has a worker do, beside showing an `AdminView` of itself."""

    DRAIN = "drain"


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker receives at its start: its share of the limits, the policy file in force."""

    settings: Settings
    share: Share
    policy: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """What the policy file held when it was last good, and what is wrong with it now."""

    content: bytes | None
    problems: tuple[PolicyProblem, ...] = ()


@dataclass(frozen=True, slots=True)
class Up:
    """A worker serves."""

    port: int


@dataclass(frozen=True, slots=True)
class WorkerFailed:
    """A worker could not start, for a reason that a user can fix."""

    text: str


@dataclass(frozen=True, slots=True)
class Condition:
    """How a worker is, the policy that it has, and how many requests are under way in it."""

    circumstances: Circumstances
    policy_hash: str
    requests: int


@dataclass(frozen=True, slots=True)
class WorkerQuotas:
    """What a worker knows of orgs."""

    known: tuple[tuple[str, Quota], ...]


@dataclass(frozen=True, slots=True)
class WorkerCounts:
    """Part `number`, from 0, of what a worker has counted; whole with the `last` one."""

    number: int
    part: Snapshot
    last: bool


@dataclass(frozen=True, slots=True)
class Done:
    """A worker has done what it was asked."""


Question = AdminView | Command | Found
Message = Question | Orders | Up | WorkerFailed | Condition | WorkerQuotas | WorkerCounts | Done


class Link:
    """One end of the socket pair. Pickled values: both ends are this program, by one user."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def post(self, message: Message) -> None:
        """Send one message, without waiting until it has left. Raises LinkClosedError."""
        data = pickle.dumps(message)
        try:
            self._writer.write(len(data).to_bytes(_LENGTH_BYTES) + data)
        except (OSError, RuntimeError) as error:  # uvloop: RuntimeError on a closed transport
            raise LinkClosedError("the other process is gone") from error

    async def send(self, message: Message) -> None:
        """Send one message. Raises LinkClosedError."""
        self.post(message)
        try:
            await self._writer.drain()
        except (OSError, RuntimeError) as error:
            raise LinkClosedError("the other process is gone") from error

    async def receive(self) -> Message:
        """Wait for one message. Raises LinkClosedError."""
        try:
            size = int.from_bytes(await self._reader.readexactly(_LENGTH_BYTES))
            if size > _MOST_BYTES:
                raise LinkClosedError(f"a message of {size} bytes is none of ours")
            data = await self._reader.readexactly(size)
        except (OSError, RuntimeError, asyncio.IncompleteReadError) as error:
            raise LinkClosedError("the other process is gone") from error
        try:
            message: Message = pickle.loads(data)  # noqa: S301 - from our own process
        except Exception as error:  # a program that was replaced on disk has other types
            raise LinkClosedError("the other process is another release") from error
        return message

    def close(self) -> None:
        """Close this end."""
        self._writer.close()
