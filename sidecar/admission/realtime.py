"""A realtime connection's responses, each charged by itself.

What the connection was admitted by stays as it was then: the caller, the route and its policy. So
neither a token that expires nor a reload changes the price of a session or ends it.
"""

from __future__ import annotations

from dataclasses import replace

from sidecar.admission.deposits import Deposits
from sidecar.admission.idempotency import DerivedKey, derived_key_of
from sidecar.admission.verdict import conclude
from sidecar.domain.model import Charge, Decision
from sidecar.domain.ports import AdmissionObserver
from sidecar.domain.usage import OnMissing, Usage
from sidecar.policy.compiled import Meter


class RealtimeCharges:
    """Takes the deposits of one connection's responses. Each permit ends by `attempt_ended`."""

    def __init__(
        self,
        admitted: Decision,
        deposits: Deposits,
        observer: AdmissionObserver,
        nonce: bytes,
    ) -> None:
        """Charge as the connection was admitted; `nonce` is this process's."""
        permit, identity = admitted.permit, admitted.identity
        if permit is None or permit.terms is None or permit.charge is None or identity is None:
            raise ValueError(f"realtime: {admitted.reason} is no call that is settled by usage")
        meter = permit.terms.meter
        if not isinstance(meter, Meter):
            raise TypeError(f"realtime: the terms of {permit.route} are without their meter")
        self._meter = meter
        self._route = permit.route
        self._errors = admitted.errors
        self._usage = permit.terms.rule
        self._charge = permit.charge
        self._identity = identity
        self._request_id = admitted.request_id
        self._deposits = deposits
        self._observer = observer
        self._nonce = nonce
        self._transcripts = 0

    async def decide(self, turn: int, request: bytes | None) -> Decision:
        """Decide on the `turn`-th response of the connection; cancelled, it leaves nothing behind.

        `request` is the event that asks for it, where it is known: for an estimate.
        """
        meter, usage, identity = self._meter, self._usage, self._identity
        estimates, org = self._deposits.estimates, identity.org_id
        estimate = await estimates.read_content(request, (), meter, usage, org)
        charge = self._own(DerivedKey.TURN, turn)
        name = self._route
        ruling, terms, noted = await self._deposits.pay(
            charge, meter, usage, estimate, name, identity
        )
        request_id, refund = f"{self._request_id}.{turn}", meter.refund
        decision = conclude(
            ruling, request_id, name, self._errors, identity,
            charge=charge, refund=refund, terms=terms, noted=noted,
        )  # fmt: skip
        if decision.permit is not None:
            self._observer.units_admitted(meter.resource, name, ruling.reason, charge.amount)
        return decision

    def owe(self, turn: int, usage: Usage) -> None:
        """Charge all of a response that ran although `decide` refused its deposit."""
        charge = self._own(DerivedKey.UNPAID, turn)
        self._deposits.owe(charge, self._meter, self._usage, self._route, self._identity, usage)

    def transcribed(self, usage: Usage) -> None:
        """Charge for what was transcribed of the client's speech, without a deposit before it.

        What names no tokens costs what its text is estimated at, whatever `missing` says: a whole
        hold or deposit for each would be the price of a response.
        """
        self._transcripts += 1
        rule = replace(self._usage, missing=OnMissing.ESTIMATE)
        charge = self._own(DerivedKey.TRANSCRIPT, self._transcripts)
        self._deposits.owe(charge, self._meter, rule, self._route, self._identity, usage)

    def _own(self, use: DerivedKey, number: int) -> Charge:
        """Return a charge of the connection's amount under a key of its own."""
        key = derived_key_of(use, self._charge.key, number, self._nonce)
        return self._charge.own(key, self._charge.amount)
