"""A realtime connection's responses, each charged by itself.

What the connection was admitted by stays as it was then: the caller, the route and its policy. So
neither a token that expires nor a reload changes the price of a session or ends it.
"""

from __future__ import annotations

from sidecar.admission.deposits import Deposits
from sidecar.admission.idempotency import turn_key_of, unpaid_key_of
from sidecar.admission.verdict import conclude
from sidecar.domain.model import Charge, Decision
from sidecar.domain.ports import AdmissionObserver
from sidecar.domain.usage import Usage
from sidecar.policy.compiled import Meter, Policy, Route


class RealtimeCharges:
    """Takes the deposits of one connection's responses. Each permit ends by `attempt_ended`."""

    def __init__(
        self,
        admitted: Decision,
        policy: Policy,
        deposits: Deposits,
        observer: AdmissionObserver,
        nonce: bytes,
    ) -> None:
        """Charge as the connection was; `policy` is in force, `nonce` this process's."""
        permit, identity = admitted.permit, admitted.identity
        if permit is None or permit.terms is None or permit.charge is None or identity is None:
            raise ValueError(f"realtime: {admitted.reason} is no call that is settled by usage")
        self._route, self._meter = _meter_of(permit.route, policy)
        self._usage = permit.terms.rule
        self._charge = permit.charge
        self._identity = identity
        self._request_id = admitted.request_id
        self._deposits = deposits
        self._observer = observer
        self._nonce = nonce

    async def decide(self, turn: int, request: bytes | None) -> Decision:
        """Decide on the `turn`-th response of the connection; cancelled, it leaves nothing behind.

        `request` is the event that asks for it, where it is known: for an estimate.
        """
        meter, usage, identity = self._meter, self._usage, self._identity
        estimate = await self._deposits.estimate_of(request, (), meter, usage, identity.org_id)
        charge = self._charge_under(turn_key_of(self._charge.key, turn, self._nonce))
        name = self._route.name
        deposited = await self._deposits.pay(charge, meter, usage, estimate, name, identity)
        ruling = deposited.ruling
        decision = conclude(
            ruling,
            request_id=f"{self._request_id}.{turn}",
            route=name,
            errors=self._route.errors,
            identity=identity,
            charge=charge,
            refund=meter.refund,
            terms=deposited.terms,
            noted=deposited.noted,
        )
        if decision.permit is not None:
            self._observer.units_admitted(meter.resource, name, ruling.reason, charge.amount)
        return decision

    def owe(self, turn: int, usage: Usage) -> None:
        """Charge all of a response that ran although `decide` refused its deposit."""
        charge = self._charge_under(unpaid_key_of(self._charge.key, turn, self._nonce))
        name = self._route.name
        self._deposits.owe(charge, self._meter, self._usage, name, self._identity, usage)

    def _charge_under(self, key: str) -> Charge:
        """Make a charge like the connection's; its key is this process's alone."""
        of = self._charge
        return Charge(of.org_id, of.product, of.resource, of.amount, key, private=True)


def _meter_of(name: str, policy: Policy) -> tuple[Route, Meter]:
    for route in policy.routes:
        if route.name == name and route.meter is not None:
            return route, route.meter
    raise ValueError(f"route {name} lost its meter while a connection was opened: open it again")
