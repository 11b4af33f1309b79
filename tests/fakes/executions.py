"""What a product did: a record of each request that reached it, to compare with charges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256
from typing import Final

DEFAULT_KEPT: Final = 100_000
"""How many executions are remembered; the oldest go first, so that a long run stays small."""


class Progress(StrEnum):
    """How far an execution has come."""

    RUNNING = "running"
    COMPLETED = "completed"  # the whole answer was handed to the connection
    ABORTED = "aborted"  # the caller went away, or the product was stopped


@dataclass(frozen=True, slots=True)
class Execution:
    """One request that reached the product. `target` and `headers` are as they came on the wire.

    `request_id` and `org_id` are the fields `X-Request-ID` and `X-BB-Org-Id`, "" when absent.
    `body_length` (bytes) and `body_sha256` (hex) describe the body read so far.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body_length: int = 0
    body_sha256: str = sha256().hexdigest()
    progress: Progress = Progress.RUNNING

    @property
    def path(self) -> str:
        """The raw path of the target, without the query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The raw query of the target, without the question mark."""
        return self.target.partition("?")[2]

    @property
    def request_id(self) -> str:
        """The request ID it was called under."""
        return self.header("x-request-id")

    @property
    def org_id(self) -> str:
        """The org it was called for."""
        return self.header("x-bb-org-id")

    @property
    def completed(self) -> bool:
        """Whether the whole answer was handed to the connection."""
        return self.progress is Progress.COMPLETED

    def header(self, name: str) -> str:
        """Return every value of the field, in order, joined by ", "; "" when it is absent."""
        wanted = name.lower()
        return ", ".join(value for key, value in self.headers if key.lower() == wanted)


class ExecutionLog:
    """The executions in the order they began, each replaced as it goes on."""

    def __init__(self, *, kept: int = DEFAULT_KEPT) -> None:
        self._kept = kept
        self._begun = 0
        self._by_serial: dict[int, Execution] = {}

    def begin(self, method: str, target: str, raw_headers: Sequence[tuple[bytes, bytes]]) -> int:
        """Record that a head has arrived; return the serial number for what follows."""
        headers = tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in raw_headers
        )
        self._begun += 1
        self._by_serial[self._begun] = Execution(method, target, headers)
        if len(self._by_serial) > self._kept:
            del self._by_serial[next(iter(self._by_serial))]
        return self._begun

    def body_read(self, serial: int, length: int, digest: str) -> None:
        """Record how much of the body has been read; a forgotten execution is left alone."""
        if serial in self._by_serial:
            self._by_serial[serial] = replace(
                self._by_serial[serial], body_length=length, body_sha256=digest
            )

    def end(self, serial: int, progress: Progress) -> None:
        """Record how it ended; a forgotten execution is left alone."""
        if serial in self._by_serial:
            self._by_serial[serial] = replace(self._by_serial[serial], progress=progress)

    def forget(self) -> None:
        """Forget every execution, those still running too."""
        self._by_serial.clear()

    def all(self) -> list[Execution]:
        """Return what is remembered, in the order the executions began."""
        return list(self._by_serial.values())
