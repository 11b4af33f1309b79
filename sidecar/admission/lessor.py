"""Consumes units ahead of their calls, one consume at a time for each org and resource."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import assert_never

from sidecar.admission.books import Books
from sidecar.admission.idempotency import DerivedKey, derived_key_of
from sidecar.admission.ledger import Witness
from sidecar.admission.moment import Moment
from sidecar.domain.model import Charge, Slot
from sidecar.domain.ports import AdmissionObserver, Clock, Quotas
from sidecar.domain.quota import Failed, Granted, Outcome, Refused
from sidecar.domain.stalls import Allowance, Lost, always_on_time, ends_within


class Lessor:
    """Owns the tasks that fill the lease book. Close it before the books."""

    def __init__(
        self,
        *,
        books: Books,
        quotas: Quotas,
        clock: Clock,
        observer: AdmissionObserver,
        nonce: bytes,
        lost: Lost = always_on_time,
    ) -> None:
        """Fill `books.leases` from `quotas`; `nonce` is this process's.

        `lost` is how much time the event loop has lost.
        """
        self._books = books
        self._quotas = quotas
        self._clock = clock
        self._observer = observer
        self._nonce = nonce
        self._lost = lost
        self._serial = 0
        self._fills: dict[Slot, asyncio.Task[Outcome]] = {}

    def fill(
        self, product: str, slot: Slot, units: int, *, timeout: float, witness: Witness | None
    ) -> None:
        """Begin to consume `units` for a lease that has just asked for them."""
        org_id, resource = slot
        self._serial += 1
        key = derived_key_of(DerivedKey.LEASE, "", self._serial, self._nonce)
        charge = Charge(org_id, product, resource, units, key, private=True)
        task = asyncio.get_running_loop().create_task(
            self._fill(slot, charge, timeout, witness), name=f"lease {org_id} {resource}"
        )
        self._fills[slot] = task

    async def filled(self, slot: Slot, timeout: float) -> tuple[Outcome | None, float]:
        """Wait for the fill in flight, if any; None when none ended within `timeout` seconds.

        Also return what is left of that time, in which time that our loop lost does not count. A
        caller that is cancelled leaves the fill alone: it belongs to the org's other calls.
        """
        task = self._fills.get(slot)
        if task is None:
            return None, timeout
        clock = asyncio.get_running_loop().time
        allowance = Allowance(timeout, clock(), clock, self._lost)
        ended = await ends_within(allowance, task)
        outcome = task.result() if ended and not task.cancelled() else None
        return outcome, allowance.left

    async def close(self) -> None:
        """Wait for the fills in flight; each has its own timeout. When cancelled, cancel them."""
        await asyncio.gather(*self._fills.values(), return_exceptions=True)

    async def _fill(
        self, slot: Slot, charge: Charge, timeout: float, witness: Witness | None
    ) -> Outcome:
        books = self._books
        try:
            outcome = await self._quotas.consume(
                charge, timeout=timeout, orphaned=partial(self._orphaned, charge, witness)
            )
            now = Moment.of(self._clock)
            outcome = books.learn(charge, outcome, now, witness)
        except BaseException:
            # Also when cancelled: no answer will grant these units, so no call may wait for them.
            books.leases.refuse(slot, Moment.of(self._clock))
            raise
        finally:
            del self._fills[slot]
        match outcome:
            case Granted(quota):
                books.leases.grant(slot, quota, now)
                self._observer.lease_requested("granted")
            case Refused():
                books.leases.refuse(slot, now)
                self._observer.lease_requested("refused")
            case Failed(kind):
                books.leases.refuse(slot, now)
                self._observer.lease_requested(kind)
                if kind.result_unknown:
                    books.owe(charge, now, witness)
            case _:
                assert_never(outcome)
        return outcome

    def _orphaned(self, charge: Charge, witness: Witness | None, outcome: Outcome) -> None:
        self._books.orphan(charge, outcome, Moment.of(self._clock), witness)
