"""The journal: admitted units that the platform has not confirmed, each under its own key.

Ages go by the monotonic clock, so that a step of the wall clock drops nothing. Across a restart
there is only the wall clock: an entry is as old as that says, and no younger than 0.

Entries of calls still running wait until the attempt has ended, so that a refund withdraws what is
not owed before it is sent.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, deque
from dataclasses import replace
from typing import Final

from sidecar.admission.journal_entries import (
    Changed,
    Entry,
    Gone,
    JournalStore,
    JournalUnwritable,
    Purpose,
    Record,
)
from sidecar.admission.journal_steps import STEPS, EntryEvent, EntryState
from sidecar.admission.moment import Moment
from sidecar.admission.steps import step
from sidecar.domain.model import Charge

CAPACITY: Final = 100_000
"""Entries held, about 60 MB. An org may have as many as stay free for others: alone, half."""

MEMORY_SECONDS: Final = 24 * 3600.0
"""How long the platform remembers a key (contract, ours): sent later it would count twice."""


class _Held:
    """An entry with its state; when it began and was first sent, in monotonic seconds."""

    __slots__ = ("entry", "sent", "since", "state")

    def __init__(self, entry: Entry, now: Moment) -> None:
        self.entry = entry
        self.state = EntryState.ABSENT
        self.since = _began(entry.at, now)
        self.sent = None if entry.sent_at is None else _began(entry.sent_at, now)


def _began(at: float, now: Moment) -> float:
    """Return the monotonic time of something that happened at `at`, Unix seconds."""
    return now.monotonic - max(0.0, now.unix - at)


class Journal:
    """Entries by key. Changes only synchronously; the store comes first."""

    def __init__(self, store: JournalStore, *, capacity: int = CAPACITY) -> None:
        """Hold at most `capacity` entries, each record kept by `store` first."""
        self._store = store
        self.durable: Final = store.durable
        self._capacity = capacity
        self._held: dict[str, _Held] = {}
        self._by_org: Counter[str] = Counter()
        self._pending: OrderedDict[str, None] = OrderedDict()
        self._late: deque[Record] = deque()
        self._units = 0
        # No later than the first sending of any entry: until it is old, none needs looking at.
        self._first_sent = math.inf

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, key: str) -> bool:
        """Say whether anything is owed under `key`."""
        return key in self._held

    @property
    def units(self) -> int:
        """Units of all entries, but for what is only noted."""
        return self._units

    @property
    def problem(self) -> str:
        """Why nothing more can be remembered, as of the last try; empty when all is well."""
        if len(self._held) >= self._capacity:
            return self._full()
        return self._store.problem

    @property
    def damaged_bytes(self) -> int:
        """Count the bytes of the store that could not be read."""
        return self._store.damaged_bytes

    @property
    def pending(self) -> int:
        """Count the entries that wait to be sent."""
        return len(self._pending)

    def oldest_seconds(self, now: Moment) -> float:
        """Age of the oldest entry in seconds; 0 when there is none."""
        owed = (h.since for h in self._held.values() if h.state is not EntryState.NOTED)
        return now.monotonic - min(owed, default=now.monotonic)

    def entries(self) -> list[Entry]:
        """Return what is held, to write it again."""
        return [held.entry for held in self._held.values()]

    def restore(self, entry: Entry, now: Moment) -> None:
        """Take over an entry that the store already keeps: its call is long over."""
        self._put(entry, EntryEvent.OWE, now)

    def discard(self, key: str) -> None:
        """Delete an entry that the store keeps and that is not to be taken over."""
        self._keep_soon(Gone(key))

    def note(self, entry: Entry, now: Moment) -> None:
        """Remember what a call would owe if this process ended; JournalUnwritable if it cannot."""
        self._enter(entry, EntryEvent.NOTE, now)

    def forget(self, key: str) -> None:
        """The process has outlived the answer: what was noted is not owed."""
        self._forget(key, EntryEvent.FORGET)

    def settle(self, entry: Entry, now: Moment) -> None:
        """Remember what an answer has cost, to be sent: also beyond bounds, and on a full disk.

        Its record is kept before it is sent, for `take` keeps it first.
        """
        if entry.charge.key not in self._held:
            self._keep_soon(entry)
            self._put(entry, EntryEvent.OWE, now)

    def runs(self, key: str) -> bool:
        """Say whether the call of this entry has not ended yet."""
        held = self._held.get(key)
        return held is not None and held.state is EntryState.OPEN

    def open(self, charge: Charge, *, now: Moment, sent: bool, limited: bool) -> None:
        """Remember a call about to be let through; JournalUnwritable when that cannot be done.

        A key already here is a trusted proxy's retry after our restart: one entry is enough.
        """
        entry = Entry(charge, Purpose.REPORT, now.unix, now.unix if sent else None, limited)
        self._enter(entry, EntryEvent.OPEN, now)

    def owe(self, charge: Charge, *, now: Moment, limited: bool) -> None:
        """Remember a charge that may have been counted for a call that did not happen.

        JournalUnwritable when that cannot be done.
        """
        entry = Entry(charge, Purpose.RECLAIM, now.unix, now.unix, limited)
        self._enter(entry, EntryEvent.OWE, now)

    def close(self, key: str, *, surplus: int = 0) -> None:
        """The call was executed: report it, and give `surplus` units back once it is counted."""
        if surplus:
            held = self._held[key]
            held.entry = replace(held.entry, surplus=surplus)
            self._keep_soon(Changed(held.entry))
        self._move(key, EntryEvent.CLOSE)

    def withdraw(self, key: str) -> None:
        """The call gives its units back: owe nothing, or reclaim what may have been counted.

        Under a key that another process may have charged too, nothing can be given back.
        """
        held = self._held[key]
        if held.entry.sent_at is None or not held.entry.charge.private:
            self._forget(key, EntryEvent.WITHDRAW_UNSENT)
            return
        held.entry = replace(held.entry, purpose=Purpose.RECLAIM)
        self._keep_soon(Changed(held.entry))
        self._move(key, EntryEvent.WITHDRAW_SENT)

    def take(self, now: Moment, key: str | None = None) -> Entry | None:
        """Hand out the next entry to send, or that of `key`; it is marked as sent first.

        So that a crash knows. None when it is not pending; JournalUnwritable when the mark cannot
        be kept.
        """
        if key is None:
            key = next(iter(self._pending), None)
        if key is None or key not in self._pending:
            return None
        held = self._held[key]
        entry = held.entry
        if entry.sent_at is None:
            marked = replace(entry, sent_at=now.unix)
            self._keep(Changed(marked))
            held.entry = marked
            held.sent = now.monotonic
            self._first_sent = min(self._first_sent, now.monotonic)
        self._move(key, EntryEvent.TAKE)
        return entry

    def resolve(self, key: str) -> None:
        """The platform has spoken, or never will: nothing is owed under this key."""
        self._forget(key, EntryEvent.RESOLVE)

    def put_back(self, taken: Entry, *, sent: bool) -> None:
        """No answer: try again later. `sent` False when the platform surely never saw the key."""
        key = taken.charge.key
        if taken.sent_at is None and not sent:
            self._keep_soon(Changed(taken))
            held = self._held[key]
            held.entry, held.sent = taken, None
        self._move(key, EntryEvent.PUT_BACK)

    def drop_expired(self, now: Moment) -> list[Entry]:
        """Give up what the platform may have counted and has forgotten by now; return it."""
        if now.monotonic - self._first_sent < MEMORY_SECONDS:
            return []
        dropped = []
        for key in list(self._pending):
            held = self._held[key]
            if held.sent is not None and now.monotonic - held.sent >= MEMORY_SECONDS:
                dropped.append(held.entry)
                self._forget(key, EntryEvent.DROP)
        self._first_sent = min(
            (held.sent for held in self._held.values() if held.sent is not None),
            default=math.inf,
        )
        return dropped

    def _enter(self, entry: Entry, event: EntryEvent, now: Moment) -> None:
        if entry.charge.key in self._held:
            return
        if self._by_org[entry.charge.org_id] >= self._capacity - len(self._held):
            raise JournalUnwritable(self._full())
        self._keep(entry)
        self._put(entry, event, now)

    def _put(self, entry: Entry, event: EntryEvent, now: Moment) -> None:
        held = self._held[entry.charge.key] = _Held(entry, now)
        self._by_org[entry.charge.org_id] += 1
        if event is not EntryEvent.NOTE:
            self._units += entry.charge.amount
        if held.sent is not None:
            self._first_sent = min(self._first_sent, held.sent)
        self._move(entry.charge.key, event)

    def _forget(self, key: str, event: EntryEvent) -> None:
        self._move(key, event)
        self._keep_soon(Gone(key))
        charge = self._held.pop(key).entry.charge
        self._by_org[charge.org_id] -= 1
        if not self._by_org[charge.org_id]:
            del self._by_org[charge.org_id]
        if event is not EntryEvent.FORGET:
            self._units -= charge.amount

    def _move(self, key: str, event: EntryEvent) -> None:
        held = self._held.get(key)
        state = step(STEPS, EntryState.ABSENT if held is None else held.state, event)
        if held is not None:
            held.state = state
        if state is EntryState.PENDING:
            self._pending[key] = None
        else:
            self._pending.pop(key, None)

    def _keep(self, record: Record) -> None:
        self._catch_up()
        self._store.append(record)

    def _keep_soon(self, record: Record) -> None:
        """Keep a record that no call waits for: if the store refuses, before the next one."""
        self._late.append(record)
        try:
            self._catch_up()
        except JournalUnwritable:
            return  # still in `_late`; only a crash before the next write can lose it

    def _catch_up(self) -> None:
        while self._late:
            self._store.append(self._late[0])
            self._late.popleft()

    def _full(self) -> str:
        return f"the journal holds {len(self._held)} entries: no more until the platform answers"
