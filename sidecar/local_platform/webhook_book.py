"""The webhook book: endpoints, the deliveries owed to them, and what became of each attempt.

No network here: `due` says what is to be sent, `settle` takes what came of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from sidecar.domain.instants import utc_text
from sidecar.domain.ports import Clock
from sidecar.local_platform import choices
from sidecar.local_platform.directory import Directory, OrgCaller, ProductCaller
from sidecar.local_platform.org_changes import OrgEvent
from sidecar.local_platform.rejection import Rejection
from sidecar.local_platform.store import Store
from sidecar.local_platform.webhook_wire import (
    DeliveriesReply,
    Delivery,
    WebhookBody,
    WebhookReply,
    WebhookTestReply,
)
from sidecar.local_platform.wire import RecentQuery

TEST_EVENT = "webhook.test"


@dataclass(frozen=True, slots=True)
class Due:
    """An attempt that is to be made now."""

    delivery_id: str
    endpoint_id: str
    url: str
    event: str
    payload: bytes
    secret: str = field(repr=False)

    @property
    def signature(self) -> str:
        """The value of `X-Bizbasics-Signature`: over the raw body (contract, Webhooks)."""
        digest = hmac.new(self.secret.encode(), self.payload, hashlib.sha256).hexdigest()
        return f"sha256={digest}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of an attempt: an HTTP status, or, without an answer, 0 and the error."""

    status: int
    error: str | None = None

    @property
    def succeeded(self) -> bool:
        """A status under 300 is success (contract, Webhooks)."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES


@dataclass(frozen=True, slots=True)
class WebhookBook:
    """Endpoints and deliveries in the store; `owing` is set when a delivery is added."""

    _store: Store
    _directory: Directory
    _clock: Clock
    owing: asyncio.Event = field(default_factory=asyncio.Event)

    # Endpoints

    def register(self, caller: ProductCaller, body: WebhookBody) -> WebhookReply:
        """Register an endpoint; its secret is shown this once.

        The same product and URL again is the same endpoint with a new secret, enabled again
        [ours]: a program that registers at each start does not pile up endpoints.
        """
        secret = f"whsec_{secrets.token_urlsafe(32)}"
        types = list(dict.fromkeys(body.event_types))
        with self._store.transaction():
            id_, created_at = self._store.one(
                "INSERT INTO webhooks VALUES (?, ?, ?, ?, ?, 0, 0, ?) "
                "ON CONFLICT (product, url) DO UPDATE SET event_types = excluded.event_types, "
                "secret = excluded.secret, failures = 0, disabled = 0 RETURNING id, created_at",
                (
                    _new_id("wh"),
                    caller.product,
                    body.url,
                    json.dumps(types),
                    secret,
                    self._clock.time(),
                ),
            )
        return WebhookReply(
            id=id_, url=body.url, event_types=types, secret=secret, created_at=created_at
        )

    def test(self, caller: ProductCaller, id: str) -> WebhookTestReply:  # noqa: A002 - of the path
        """Send webhook.test to an endpoint.

        Raises Rejection: 404 for an endpoint that is not the product's own, 409 for a disabled one.
        """
        now = self._clock.time()
        with self._store.transaction():
            found = self._store.row(
                "SELECT disabled FROM webhooks WHERE id = ? AND product = ?", (id, caller.product)
            )
            if found is None:
                raise Rejection(HTTPStatus.NOT_FOUND, f"no webhook {id!r}")
            if found[0]:
                detail = "this webhook is disabled; register its URL again"
                raise Rejection(HTTPStatus.CONFLICT, detail)
            payload = {
                "test": True,
                "endpoint_id": id,
                "product_id": caller.product,
                "triggered_at": utc_text(now, "auto"),
                "message": "a test of this webhook",
            }
            delivery_id = self._owe(id, None, TEST_EVENT, payload, now)
        return WebhookTestReply(delivery_id=delivery_id, event=TEST_EVENT)

    # Deliveries

    def announce(self, events: Sequence[OrgEvent]) -> None:
        """Owe each event to every endpoint that wants it; call it inside a transaction."""
        now = self._clock.time()
        for event in events:
            for product in self._concerned(event):
                for endpoint_id, types in self._store.rows(
                    "SELECT id, event_types FROM webhooks WHERE product = ? AND NOT disabled",
                    (product,),
                ):
                    if _wants(json.loads(types), event.name):
                        payload = {
                            "id": _new_id("evt"),
                            "event": event.name,
                            "org_id": event.org_id,
                            "product_id": product,
                            "created_at": utc_text(now, "auto"),
                            "data": dict(event.data),
                        }
                        self._owe(endpoint_id, event.org_id, event.name, payload, now)

    def due(self, limit: int) -> Sequence[Due]:
        """Return attempts whose time has come, the longest overdue first."""
        rows = self._store.rows(
            "SELECT deliveries.id AS delivery_id, endpoint_id, url, event, payload, secret "
            "FROM deliveries "
            "JOIN webhooks ON webhooks.id = endpoint_id "
            "WHERE state = 'pending' AND due_at <= ? ORDER BY due_at, number LIMIT ?",
            (self._clock.time(), limit),
        )
        return [Due(**row) for row in rows]

    def owes(self) -> bool:
        """Whether any delivery is still to be attempted."""
        return self._store.row("SELECT 1 FROM deliveries WHERE state = 'pending'") is not None

    def settle(self, delivery_id: str, attempt: Attempt) -> None:
        """Write down what came of an attempt: delivered, to be tried again later, or given up."""
        with self._store.transaction():
            found = self._store.row(
                "SELECT endpoint_id, attempts FROM deliveries WHERE id = ? AND state = 'pending'",
                (delivery_id,),
            )
            if found is None:
                return  # dropped with its endpoint while this attempt was under way
            endpoint_id, attempts = str(found[0]), int(found[1]) + 1
            now = self._clock.time()
            given_up = not attempt.succeeded and attempts >= choices.WEBHOOK_ATTEMPTS
            state = "delivered" if attempt.succeeded else "failed" if given_up else "pending"
            wait = choices.WEBHOOK_WAITS[min(attempts, len(choices.WEBHOOK_WAITS)) - 1]
            due_at = now + wait if state == "pending" else None
            self._store.run(
                "UPDATE deliveries SET state = ?, attempts = ?, due_at = ?, last_status = ?, "
                "last_error = ?, updated_at = ? WHERE id = ?",
                (state, attempts, due_at, attempt.status, attempt.error, now, delivery_id),
            )
            if attempt.succeeded:
                self._store.run("UPDATE webhooks SET failures = 0 WHERE id = ?", (endpoint_id,))
            elif given_up:
                self._count_failure(endpoint_id, now)

    def recent(self, caller: OrgCaller, query: RecentQuery) -> DeliveriesReply:
        """Recent deliveries that concern the caller, newest first.

        Those of the org's products, of the one alone that the key is bound to, about the
        caller's own org or, as a test does, of none.
        """
        org = self._directory.org(caller.org_id)
        apps = () if org is None else org.apps
        products = [app for app in apps if caller.product in (None, app)]
        found = self._deliveries(
            "AND product IN (SELECT value FROM json_each(:products)) "
            "AND (org_id IS NULL OR org_id = :org_id)",
            query.limit,
            products=json.dumps(products),
            org_id=caller.org_id,
        )
        return DeliveriesReply(deliveries=found)

    def latest(self, limit: int) -> list[Delivery]:
        """Return the latest deliveries of all, newest first, for the developer's page."""
        return self._deliveries("", limit)

    def _deliveries(self, condition: str, limit: int, **named: str) -> list[Delivery]:
        rows = self._store.rows(
            "SELECT deliveries.*, product AS product_id, url FROM deliveries "  # noqa: S608  # the condition is one of two above
            f"JOIN webhooks ON webhooks.id = endpoint_id WHERE 1 {condition} "
            "ORDER BY number DESC LIMIT :newest",
            {"newest": limit, **named},
        )
        return [Delivery(**row) for row in rows]

    def _concerned(self, event: OrgEvent) -> Sequence[str]:
        if event.product is not None:
            return [event.product]
        org = self._directory.org(event.org_id)
        return () if org is None else org.apps

    def _owe(
        self, endpoint_id: str, org_id: str | None, event: str, payload: dict[str, Any], now: float
    ) -> str:
        delivery_id = _new_id("dlv")
        owed = (delivery_id, endpoint_id, org_id, event, json.dumps(payload).encode())
        self._store.run(
            "INSERT INTO deliveries (id, endpoint_id, org_id, event, payload, state, attempts, "
            "due_at, created_at, updated_at) VALUES (?, ?, ?, ?, ?, 'pending', 0, ?, ?, ?)",
            (*owed, now, now, now),
        )
        self.owing.set()
        return delivery_id

    def _count_failure(self, endpoint_id: str, now: float) -> None:
        self._store.run("UPDATE webhooks SET failures = failures + 1 WHERE id = ?", (endpoint_id,))
        disabled = self._store.run(
            "UPDATE webhooks SET disabled = 1 WHERE id = ? AND NOT disabled AND failures >= ?",
            (endpoint_id, choices.WEBHOOK_FAILURES_TO_DISABLE),
        )
        if disabled:
            self._store.run(
                "UPDATE deliveries SET state = 'dropped', due_at = NULL, updated_at = ?, "
                "last_error = 'its endpoint was disabled' "
                "WHERE endpoint_id = ? AND state = 'pending'",
                (now, endpoint_id),
            )


def _new_id(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(12)}"


def _wants(types: Sequence[str], name: str) -> bool:
    family = name.partition(".")[0]
    return any(wanted in (name, "*", f"{family}.*") for wanted in types)
