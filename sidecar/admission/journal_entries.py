"""What the journal keeps: entries, records of what happens to them, and the store of those.

An entry of purpose REPORT was executed and must be counted; one of purpose RECLAIM was not, but may
have been counted, and becomes a credit once the platform says so. One of purpose OWED is what an
answer has cost beyond its deposit. One of purpose RUNNING is that of a call whose answer has not
ended: it is owed only if this process ends first.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from sidecar.admission.credits import Lot
from sidecar.domain.errors import TransientError
from sidecar.domain.model import Charge


class JournalUnwritable(TransientError):  # noqa: N818 - the state it reports
    """What should be remembered cannot be: the call that needs it must not pass."""


class Purpose(StrEnum):
    """Why the platform is asked again under an entry's key."""

    REPORT = "report"
    RECLAIM = "settle"  # the word in files on disk
    OWED = "owed"
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Settlement:
    """Whose cost an entry is: the key of the call, and its route.

    `forgive`: a refusal has no consequence. `tries`: how often the platform has refused before.
    """

    call: str
    route: str
    forgive: bool
    tries: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A charge that is not confirmed. Times in Unix seconds.

    `sent_at`: when its key first went out without a sure answer; None: the platform never saw it.
    `limited`: the org was known to have a limit, so that a bare "unlimited" is not believed.
    `settlement` is there for the purposes OWED and RUNNING. `surplus` units are given back once it
    is counted: a deposit was more than the cost.
    """

    charge: Charge
    purpose: Purpose
    at: float
    sent_at: float | None
    limited: bool
    settlement: Settlement | None = None
    surplus: int = 0


@dataclass(frozen=True, slots=True)
class Changed:
    """Record: the entry of this key is so now."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Gone:
    """Record: nothing is owed under this key any more."""

    key: str


Record = Entry | Changed | Gone | Lot
"""An entry that begins, what becomes of it, and a credit that is carried over a restart."""


class JournalStore(Protocol):
    """Where records outlive the process; memory keeps none."""

    @property
    def durable(self) -> bool:
        """Say whether records outlive the process."""

    @property
    def problem(self) -> str:
        """Why no entry can be added, as of the last try; empty when all is well."""

    @property
    def damaged_bytes(self) -> int:
        """Count the bytes that could not be read when the store was opened."""

    def append(self, record: Record) -> None:
        """Keep one record before returning; JournalUnwritable when that cannot be done."""


class ForgetfulStore:
    """The store of a sidecar without `--journal`: the book in memory is all there is."""

    durable = False
    problem = ""
    damaged_bytes = 0

    def append(self, record: Record) -> None:
        """Keep nothing."""
