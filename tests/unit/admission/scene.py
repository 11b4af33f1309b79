"""One engine with everything around it that a test may want to change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sidecar.admission.books import Books
from sidecar.admission.engine import Engine
from sidecar.admission.journal_entries import JournalStore
from sidecar.admission.lessor import Lessor
from sidecar.admission.settlements import Settlements
from sidecar.admission.settler import Settler
from sidecar.domain.choices import (
    Accuracy,
    Action,
    Enforcement,
    ErrorFormat,
    OnOverQuota,
    OnPlatformError,
    OnReplay,
    Refund,
)
from sidecar.domain.model import Call, Decision, Identity, RequestIdOrigin
from sidecar.domain.ports import Attempts, BodySource, Estimates, SharedHolds
from sidecar.domain.quota import Quota
from sidecar.domain.share import ALONE, Share
from sidecar.policy.amounts import ConstantAmount
from sidecar.policy.compiled import FailOpenBudget, Meter, Route
from tests.fakes.admission import (
    FixedIdentities,
    HeldPolicy,
    KnownBody,
    RememberingObserver,
    policy_of_pages,
)
from tests.fakes.clock import TurnedClock
from tests.fakes.quotas import RESET_AT, HonestQuotas, QuotaStore, SwitchedQuotas

NOW = 1_760_000_000.0
ORG = "org_acme"
PRODUCT = "acme-notes"
RESOURCE = "ai_calls"
NONCE = bytes(32)

METER = Meter(
    resource=RESOURCE,
    amount=ConstantAmount(1),
    accuracy=Accuracy.EXACT,
    on_over_quota=OnOverQuota.DENY,
    on_platform_error=OnPlatformError.FAIL_OPEN,
    fail_open_budget=FailOpenBudget(10, 900.0),
    platform_timeout=0.25,
    refund=Refund.UNREACHED,
    replay=OnReplay.CHARGE,
    enforcement=Enforcement.ENFORCE,
    deny_status=429,
    body_limit=1024,
)


def quota(remaining: int, *, limit: int = 25, reset_at: float = RESET_AT) -> Quota:
    """Make what the platform might say of the org."""
    used = 0 if limit < 0 else limit - remaining
    return Quota(RESOURCE, limit, used, remaining, "month", reset_at)


def identity(
    *, snapshot: Quota | None = None, issued_at: float | None = NOW - 60, org: str = ORG
) -> Identity:
    """Make a verified caller, with a token's quota snapshot if wanted."""
    return Identity(
        org_id=org,
        user_id="user_1",
        role="member",
        plan="pro",
        apps=frozenset({PRODUCT}),
        quotas={} if snapshot is None else {RESOURCE: snapshot},
        issued_at=issued_at,
        expires_at=NOW + 3600,
    )


def route(name: str, meter: Meter | None, action: Action | None = None) -> Route:
    """Make a compiled route."""
    return Route(name, meter, action, ErrorFormat.OPENAI)


class Scene:
    """An engine over fakes. `store` is the platform's truth, `platform` what answers now."""

    def __init__(
        self,
        *,
        limit: int = 25,
        nonce: bytes = NONCE,
        journal: JournalStore | None = None,
        attempts: Attempts | None = None,
        shared_holds: SharedHolds | None = None,
        store: QuotaStore | None = None,
        clock: TurnedClock | None = None,
        estimates: Estimates | None = None,
        leases: bool = False,
        share: Share = ALONE,
        **meter: Any,
    ) -> None:
        self.meter = replace(METER, **meter)
        self.clock = TurnedClock(NOW) if clock is None else clock
        self.observer = RememberingObserver()
        self.store = QuotaStore(default=limit) if store is None else store
        self.honest = HonestQuotas(self.store)
        self.platform = SwitchedQuotas(self.honest)
        self.identities = FixedIdentities(identity())
        self.books = Books(self.observer, journal)
        self.policy = policy_of_pages(
            {
                "/chat": route("chat", self.meter),
                "/free": route("free", None, Action.ALLOW),
                "/free/*": route("free/*", None, Action.ALLOW),
                "/blocked": route("blocked", None, Action.DENY),
            }
        )
        self.policies = HeldPolicy(self.policy)
        self.settlements = Settlements(books=self.books, observer=self.observer, nonce=nonce)
        self.lessor = Lessor(
            books=self.books,
            quotas=self.platform,
            clock=self.clock,
            observer=self.observer,
            nonce=nonce,
        )
        self.settler = Settler(
            settlements=self.settlements, books=self.books, quotas=self.platform, clock=self.clock
        )
        self.engine = Engine(
            policies=self.policies,
            product=None,
            identities=self.identities,
            quotas=self.platform,
            books=self.books,
            clock=self.clock,
            observer=self.observer,
            nonce=nonce,
            settlements=self.settlements,
            settler=self.settler,
            estimates=estimates,
            attempts=attempts,
            shared_holds=shared_holds,
            lessor=self.lessor if leases else None,
            share=share,
        )
        self._ids = 0

    def call(
        self,
        path: str = "/chat",
        request_id: str | None = None,
        origin: RequestIdOrigin = RequestIdOrigin.GENERATED,
    ) -> Call:
        """Make a call; its ID is fresh unless one is given."""
        self._ids += 1
        return Call("POST", path, "", (), request_id or f"generated-{self._ids}", origin)

    async def decide(
        self,
        path: str = "/chat",
        request_id: str | None = None,
        origin: RequestIdOrigin | None = None,
        body: BodySource | None = None,
    ) -> Decision:
        """Decide on one call; a given request ID is a client's unless said otherwise."""
        if origin is None:
            origin = RequestIdOrigin.CLIENT if request_id else RequestIdOrigin.GENERATED
        return await self.engine.decide(
            self.call(path, request_id, origin), KnownBody() if body is None else body
        )
