"""The engine: `decide` reads as its phases, `attempt_ended` closes what it opened.

The phases that need nothing from outside do not suspend: an unmetered call, a cached denial, a
credit and a lease are decided before the coroutine first yields.
"""

from __future__ import annotations

from typing import Protocol

from sidecar.admission.attempt_claims import AttemptClaims
from sidecar.admission.books import Books
from sidecar.admission.call_estimates import NOTHING_KNOWN, ReadOnce
from sidecar.admission.deposits import Deposits
from sidecar.admission.findings import (
    MeteredFinding,
    NoRoom,
    NotEntitled,
    Preflight,
    Replayed,
    Unmetered,
    UnmeteredFinding,
    unmetered_finding,
)
from sidecar.admission.idempotency import new_key_of
from sidecar.admission.lessor import Lessor
from sidecar.admission.payments import Payments
from sidecar.admission.pricing import price
from sidecar.admission.realtime import RealtimeCharges
from sidecar.admission.settlements import Settlements
from sidecar.admission.settler import Settler
from sidecar.admission.verdict import conclude, rule, rule_unmetered
from sidecar.domain.choices import ErrorFormat, Refund
from sidecar.domain.cors import Cors
from sidecar.domain.credentials import IdentityFailure
from sidecar.domain.errors import NoRoomError
from sidecar.domain.model import (
    AttemptEnd,
    Call,
    Charge,
    Decision,
    Identity,
    Permit,
    RequestIdOrigin,
)
from sidecar.domain.ports import (
    AdmissionObserver,
    Attempts,
    BodySource,
    Clock,
    Estimates,
    Identities,
    Quotas,
    SharedHolds,
)
from sidecar.domain.share import ALONE, Share
from sidecar.domain.usage import Usage
from sidecar.policy.amounts import ConstantAmount
from sidecar.policy.compiled import Meter, Policy, Route, UnsafePath
from sidecar.policy.preflight import PREFLIGHT


class PolicyInForce(Protocol):
    """Where the engine finds the policy, at each call."""

    current: Policy


class Engine:
    """Decides on calls, one `decide` each, and closes each permit once it was used."""

    def __init__(
        self,
        *,
        policies: PolicyInForce,
        product: str | None,
        identities: Identities,
        quotas: Quotas,
        books: Books,
        clock: Clock,
        observer: AdmissionObserver,
        nonce: bytes,
        settlements: Settlements,
        settler: Settler,
        estimates: Estimates | None = None,
        attempts: Attempts | None = None,
        shared_holds: SharedHolds | None = None,
        lessor: Lessor | None = None,
        share: Share = ALONE,
    ) -> None:
        """Wire the engine; `product` overrides the policy's.

        `nonce` is random and this process's own. `estimates` reads what calls may cost; without it
        that is not known before their answers. Without `attempts`, trusted request IDs are
        counted in this process alone, and without `shared_holds`, holds are. Without `lessor`,
        `accuracy: lease` is exact. `share` is this process's part of each `fail_open_budget`.
        """
        self._policies = policies
        self._product = product
        self._identities = identities
        self._books = books
        self._clock = clock
        self._observer = observer
        self._nonce = nonce
        self._claims = AttemptClaims(
            replays=books.replays, attempts=attempts, clock=clock, observer=observer, nonce=nonce
        )
        self._payments = Payments(
            quotas=quotas, books=books, clock=clock, observer=observer, lessor=lessor, share=share
        )
        self._holds = settlements.holds
        self._shares_holds = shared_holds is not None
        self._deposits = Deposits(
            payments=self._payments, books=books, settlements=settlements, settler=settler,
            clock=clock, estimates=estimates, shared=shared_holds,
        )  # fmt: skip

    @property
    def errors(self) -> ErrorFormat:
        """The error format of what is refused before it has a route."""
        return self._policies.current.errors

    @property
    def cors(self) -> Cors | None:
        """Which pages may read the answers that are not the product's."""
        return self._policies.current.cors

    def meters(self, call: Call) -> bool:
        """Whether a call's route meters; a path that is not safe to read counts as one."""
        policy = self._policies.current
        route = policy.route_for(call.method, call.path, call.headers, call.query)
        return isinstance(route, UnsafePath) or route.meter is not None

    async def decide(  # noqa: C901, PLR0912, PLR0915 - the phases, on one screen
        self, call: Call, body: BodySource
    ) -> Decision:
        """Decide on one call.

        Cancelled, it leaves nothing behind: the claim is given back, and a charge in flight becomes
        a credit.
        """
        policy = self._policies.current

        # Match: which route, and whether anything is to be charged.
        if call.method == PREFLIGHT and (
            passes := policy.preflight_route(call.method, call.path, call.headers, call.query)
        ):
            return _unmetered(Preflight(), call, passes)
        number = policy.router.find(call.method, call.path, call.headers, call.query)
        if isinstance(number, UnsafePath):
            return _unmetered(number, call, policy.unmatched)
        route = policy.table[number]
        if (meter := route.meter) is None:
            finding = unmetered_finding(route, matched=route is not policy.unmatched)
            if not isinstance(finding, Unmetered):
                return _unmetered(finding, call, route)
            # For the product's sake only: nothing is fetched, and a failure says nothing.
            caller = await self._identities.identify(call.headers, policy.identity, wait=False)
            known = caller if isinstance(caller, Identity) else None
            return _unmetered(finding, call, route, known)

        # Identify: who pays.
        identity = await self._identities.identify(call.headers, policy.identity, wait=True)
        if isinstance(identity, IdentityFailure):
            self._observer.identity_failed(identity)
            return self._uncharged(identity, call, route, meter, None)
        product = policy.product if self._product is None else self._product
        if product not in identity.apps:
            return self._uncharged(NotEntitled(product), call, route, meter, identity)

        # Price: how many units.
        source, usage, estimate = meter.amount, meter.usage, NOTHING_KNOWN
        if usage is not None:
            body = ReadOnce(body)
        if isinstance(source, ConstantAmount) and source.units:
            amount = source.units
        else:
            priced = await price(call, meter, body, identity.org_id)
            if not isinstance(priced, int):
                return self._uncharged(priced, call, route, meter, identity)
            amount = priced
        if usage is not None:
            try:
                estimate = await self._deposits.estimates.read(
                    call, meter, usage, body, identity.org_id
                )
            except NoRoomError:
                return self._uncharged(NoRoom(), call, route, meter, identity)

        # Claim: which attempt of this request ID it is, and so under which key it is charged.
        claim: bytes | None = None
        if call.request_id_origin is RequestIdOrigin.GENERATED:
            key, private = new_key_of(call.request_id, self._nonce), True
        else:
            claimed = await self._claims.take(call, route.name, meter, identity, product, amount)
            if claimed is None:
                return self._uncharged(Replayed(), call, route, meter, identity)
            key, private, claim = claimed
        charge = Charge(identity.org_id, product, meter.resource, amount, key, private)

        # Consume: from what is paid already, else from the platform; the table rules on it.
        terms, noted = None, ""
        try:
            if usage is None:
                ruling = await (
                    self._deposits.pay_beside(charge, meter, identity)
                    if self._shares_holds or self._holds.by_slot
                    else self._payments.pay(charge, meter, identity)
                )
            else:
                ruling, terms, noted = await self._deposits.pay(
                    charge, meter, usage, estimate, route.name, identity
                )
        except BaseException:
            if claim is not None:
                self._claims.release(claim)
            raise

        # Conclude: a permit, or the claim is given back.
        decision = conclude(
            ruling, call.request_id, route.name, route.errors, identity,
            charge=charge, refund=meter.refund, claim=claim, terms=terms, noted=noted,
        )  # fmt: skip
        if decision.permit is not None:
            self._observer.units_admitted(meter.resource, route.name, ruling.reason, amount)
        elif claim is not None:
            self._claims.release(claim)
        return decision

    def attempt_ended(self, permit: Permit, end: AttemptEnd, usage: Usage | None = None) -> None:
        """Close a permit, once, after its attempt upstream ended or was given up.

        `usage` is what was read of an answer with a status of 2xx, or of one that was given up
        before its status was known. None for any other answer: its deposit is its cost. With
        `units` it is settled by these, however the attempt ended.
        """
        if permit.claim is not None:
            self._claims.end(permit.claim, end)
        charge = permit.charge
        if charge is None:
            return
        if usage is not None and end is not AttemptEnd.DONE and usage.units is None:
            usage = None
        if permit.terms is not None and self._deposits.finish(permit, charge, usage):
            return
        if end is not AttemptEnd.DONE and _refunds(permit.refund, end):
            now = self._clock.time()
            self._books.give_back(charge, permit.good_until, now, paid=permit.paid)
        elif not permit.paid and self._books.journal.runs(charge.key):
            self._books.journal.close(charge.key)

    def realtime(self, decision: Decision) -> RealtimeCharges:
        """Charge each further response of an admitted realtime connection by itself."""
        return RealtimeCharges(decision, self._deposits, self._observer, self._nonce)

    def priced_by_product(self, decision: Decision) -> Permit:
        """Return the permit of an admitted call without `usage`, to be settled by units."""
        return self._deposits.priced_by_product(decision, self._policies.current)

    def _uncharged(
        self,
        finding: MeteredFinding,
        call: Call,
        route: Route,
        meter: Meter,
        identity: Identity | None,
    ) -> Decision:
        """Conclude a metered call for which nothing is to be charged."""
        ruling = rule(finding, meter, 0, self._clock.time())
        failure = finding if isinstance(finding, IdentityFailure) else None
        decision = conclude(
            ruling, call.request_id, route.name, route.errors, identity, identity_failure=failure
        )
        if decision.permit is not None:
            self._observer.units_admitted(meter.resource, route.name, ruling.reason, 0)
        return decision


def _unmetered(
    finding: UnmeteredFinding, call: Call, route: Route, identity: Identity | None = None
) -> Decision:
    """Conclude a call that no meter sees."""
    ruling = rule_unmetered(finding)
    return conclude(ruling, call.request_id, route.name, route.errors, identity)


def _refunds(refund: Refund, end: AttemptEnd) -> bool:
    match end:
        case AttemptEnd.DONE:
            return False
        case AttemptEnd.FAILED:
            return refund is Refund.FAILED
        case AttemptEnd.UNREACHED:
            return refund is not Refund.NEVER
