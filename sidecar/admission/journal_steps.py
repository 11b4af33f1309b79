"""The table of the journal's entries: where one can stand, and what can happen to it."""

from __future__ import annotations

from enum import auto
from typing import Final

from sidecar.admission.steps import Listed


class EntryState(Listed):
    """Where an entry stands."""

    ABSENT = auto()
    NOTED = auto()  # what its call would owe, if the process ended before its answer
    OPEN = auto()  # its call still runs
    PENDING = auto()  # to be sent
    SENDING = auto()  # being sent


class EntryEvent(Listed):
    """What can happen to an entry."""

    NOTE = auto()
    FORGET = auto()
    OPEN = auto()
    OWE = auto()
    CLOSE = auto()
    WITHDRAW_UNSENT = auto()
    WITHDRAW_SENT = auto()
    TAKE = auto()
    RESOLVE = auto()
    PUT_BACK = auto()
    DROP = auto()


STEPS: Final = {
    (EntryState.ABSENT, EntryEvent.NOTE): EntryState.NOTED,
    (EntryState.NOTED, EntryEvent.FORGET): EntryState.ABSENT,
    (EntryState.ABSENT, EntryEvent.OPEN): EntryState.OPEN,
    (EntryState.ABSENT, EntryEvent.OWE): EntryState.PENDING,
    (EntryState.OPEN, EntryEvent.CLOSE): EntryState.PENDING,
    (EntryState.OPEN, EntryEvent.WITHDRAW_UNSENT): EntryState.ABSENT,
    (EntryState.OPEN, EntryEvent.WITHDRAW_SENT): EntryState.PENDING,
    (EntryState.PENDING, EntryEvent.TAKE): EntryState.SENDING,
    (EntryState.PENDING, EntryEvent.DROP): EntryState.ABSENT,
    (EntryState.SENDING, EntryEvent.RESOLVE): EntryState.ABSENT,
    (EntryState.SENDING, EntryEvent.PUT_BACK): EntryState.PENDING,
}
