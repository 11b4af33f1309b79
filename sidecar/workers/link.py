"""What supervisor and worker say to each other, over a socket pair that only they hold."""

from __future__ import annotations

import asyncio
import pickle
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sidecar.admin.readiness import Circumstances
from sidecar.errors import SidecarError
from sidecar.model import Quota, Share
from sidecar.policy.compiled import Policy
from sidecar.policy.problems import Problem
from sidecar.settings import Settings
from sidecar.telemetry.snapshot import Snapshot

_LENGTH_BYTES: Final = 4
_MOST_BYTES: Final = 64 * 1024 * 1024


class LinkClosedError(SidecarError):
    """The process at the other end is gone."""


class Ask(StrEnum):
    """What the supervisor asks of a worker."""

    LOOK = "look"
    DRAIN = "drain"


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker receives at its start: its share of the limits, the policy in force."""

    settings: Settings
    share: Share
    policy: Policy


@dataclass(frozen=True, slots=True)
class Found:
    """What the supervisor found in the policy file: a policy, and what is wrong with it now."""

    policy: Policy | None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Up:
    """A worker serves."""

    port: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A worker could not start, for a reason that a user can mend."""

    text: str


@dataclass(frozen=True, slots=True)
class Look:
    """What a worker tells of itself when it is asked."""

    snapshot: Snapshot
    circumstances: Circumstances
    policy_hash: str
    quotas: tuple[tuple[str, Quota], ...]


@dataclass(frozen=True, slots=True)
class Done:
    """A worker has done what it was asked."""


Message = Ask | Orders | Found | Up | Failed | Look | Done


class Link:
    """One end of the socket pair. Pickled values: both ends are this program, by one user."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, message: Message) -> None:
        """Send one message. Raises LinkClosedError."""
        data = pickle.dumps(message)
        try:
            self._writer.write(len(data).to_bytes(_LENGTH_BYTES) + data)
            await self._writer.drain()
        except OSError as error:
            raise LinkClosedError("the other process is gone") from error

    async def receive(self) -> Message:
        """Wait for one message. Raises LinkClosedError."""
        try:
            size = int.from_bytes(await self._reader.readexactly(_LENGTH_BYTES))
            if size > _MOST_BYTES:
                raise LinkClosedError(f"a message of {size} bytes is none of ours")
            data = await self._reader.readexactly(size)
        except (OSError, asyncio.IncompleteReadError) as error:
            raise LinkClosedError("the other process is gone") from error
        try:
            message: Message = pickle.loads(data)  # noqa: S301 - from our own process
        except Exception as error:  # a program that was replaced on disk pickles what it likes
            raise LinkClosedError("the other process is another release") from error
        return message

    def close(self) -> None:
        """Close this end."""
        self._writer.close()
