"""The quota book: what each org has used, counted in transactions.

Every method is synchronous and ends in one commit, so that two consumes never see the same count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sidecar.domain.instants import utc_text
from sidecar.domain.model import Resource
from sidecar.domain.ports import Clock
from sidecar.domain.quota import UNLIMITED
from sidecar.local_platform import choices
from sidecar.local_platform.control_wire import ConsumesQuery, ConsumesReply, CountedConsume
from sidecar.local_platform.directory import Directory, OrgCaller, ProductCaller
from sidecar.local_platform.rejection import Rejection, bad_field
from sidecar.local_platform.store import Store
from sidecar.local_platform.wire import (
    BreakdownReply,
    ConsumeBody,
    ConsumeReply,
    QuotaReply,
    StatusReply,
)


@dataclass(frozen=True, slots=True)
class Month:
    """A quota period: `name` as `2025-10`, and when the next one starts (contract, Quotas)."""

    name: str
    reset_at: str


def month_of(now: float) -> Month:
    """Return the UTC month that `now`, Unix seconds, lies in."""
    moment = datetime.fromtimestamp(now, UTC)
    following = moment.year * 12 + moment.month  # months since the year 0
    start = datetime(following // 12, following % 12 + 1, 1, tzinfo=UTC)
    return Month(name=f"{moment.year:04d}-{moment.month:02d}", reset_at=utc_text(start.timestamp()))


@dataclass(frozen=True, slots=True)
class QuotaBook:
    """Consume, status and breakdown (contract, Quotas)."""

    _store: Store
    _directory: Directory
    _clock: Clock

    def consume(
        self, caller: ProductCaller, body: ConsumeBody, *, store_down: bool = False
    ) -> ConsumeReply:
        """Count units of a resource for an org, or refuse them.

        What is refused counts nothing; the same key answers the same again. Raises Rejection for
        an org that does not exist or does not have the product, for another product's ID, and for
        a key that was used for another charge.
        """
        if store_down:
            return self._unread(body.resource)
        product, now = caller.product, self._clock.time()
        with self._store.transaction():
            self._require_entitled(product, body)
            if body.idempotency_key is None:
                return self._count(product, body, now)
            remembered = self._remembered(product, body, body.idempotency_key, now)
            if remembered is not None:
                return remembered
            reply = self._count(product, body, now)
            self._remember(product, body, body.idempotency_key, reply, now)
            return reply

    def status(self, caller: OrgCaller, *, store_down: bool) -> StatusReply:
        """The quotas of the key's own org."""
        _require_store(store_down=store_down)
        return StatusReply(org_id=caller.org_id, quotas=self.quotas(caller.org_id))

    def breakdown(self, caller: OrgCaller, *, store_down: bool) -> BreakdownReply:
        """The same, split by product."""
        _require_store(store_down=store_down)
        return BreakdownReply(org_id=caller.org_id, products=self.by_product(caller.org_id))

    def consumes(self, query: ConsumesQuery) -> ConsumesReply:
        """What was counted."""
        return ConsumesReply(list(self.counted(query.org_id)))

    def _unread(self, resource: Resource) -> ConsumeReply:
        """Answer as the platform does when its own store is down; nothing is counted."""
        return ConsumeReply(
            allowed=True,
            used=0,
            limit=UNLIMITED,
            remaining=UNLIMITED,
            resource=resource,
            period=choices.PERIOD,
            reset_at=self._month().reset_at,
        )

    def quotas(self, org_id: str) -> dict[str, QuotaReply]:
        """Return the state of every resource that the org's plan names."""
        month = self._month()
        return {
            resource: _state(month, limit, self._used(org_id, resource, month), None)
            for resource, limit in self._directory.limits(org_id).items()
        }

    def by_product(self, org_id: str) -> dict[str, dict[str, QuotaReply]]:
        """Return what each product used this month; limit and remaining are the org's [ours]."""
        month = self._month()
        limits = self._directory.limits(org_id)
        split: dict[str, dict[str, QuotaReply]] = {}
        for product, resource, used in self._store.rows(
            "SELECT product, resource, used FROM usage WHERE org_id = ? AND month = ? "
            "ORDER BY product, resource",
            (org_id, month.name),
        ):
            limit = limits.get(resource, choices.LIMIT_WHERE_NONE_IS_SET)
            total = self._used(org_id, resource, month)
            split.setdefault(product, {})[resource] = _state(month, limit, total, used)
        return split

    def counted(self, org_id: str | None) -> Sequence[CountedConsume]:
        """Return what was counted, oldest first."""
        sql = "SELECT * FROM consumes WHERE ? IS NULL OR org_id = ? ORDER BY id"
        return [CountedConsume(**row) for row in self._store.rows(sql, (org_id, org_id))]

    def latest(self, newest: int) -> Sequence[tuple[CountedConsume, bool]]:
        """Return the latest consumes, newest first, and whether each was counted or refused."""
        found = self._store.rows(
            "SELECT * FROM (SELECT *, 1 AS counted FROM consumes ORDER BY id DESC LIMIT :newest) "
            "UNION ALL "
            "SELECT * FROM (SELECT *, 0 FROM refusals ORDER BY id DESC LIMIT :newest) "
            "ORDER BY at DESC, counted, id DESC LIMIT :newest",
            {"newest": newest},
        )
        return [(CountedConsume(**row), bool(row["counted"])) for row in found]

    def _require_entitled(self, product: str, asked: ConsumeBody) -> None:
        if asked.product_id not in (None, product):
            detail = f"this key is of product {product!r}, not of {asked.product_id!r}"
            raise Rejection(choices.FOREIGN_PRODUCT, detail)
        org = self._directory.org(asked.org_id)
        if org is None:
            raise Rejection(choices.UNKNOWN_ORG, f"no org {asked.org_id!r}")
        if product not in org.apps:
            raise Rejection(choices.NOT_ENTITLED, f"org {org.id!r} does not have {product!r}")

    def _count(self, product: str, asked: ConsumeBody, now: float) -> ConsumeReply:
        month = month_of(now)
        limits = self._directory.limits(asked.org_id)
        limit = limits.get(asked.resource, choices.LIMIT_WHERE_NONE_IS_SET)
        used = self._used(asked.org_id, asked.resource, month)
        allowed = limit == UNLIMITED or used + asked.amount <= limit
        if allowed:
            used += asked.amount
            if used > choices.LARGEST_AMOUNT:
                raise bad_field("body", "amount", "the month's count would pass 2^53 - 1")
            self._store.run(
                "INSERT INTO usage VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET used = used + excluded.used",
                (asked.org_id, asked.resource.value, month.name, product, asked.amount),
            )
        self._write_down(product, asked, now, counted=allowed)
        return ConsumeReply(
            allowed=allowed,
            used=used,
            limit=limit,
            remaining=_remaining(limit, used),
            resource=asked.resource,
            period=choices.PERIOD,
            reset_at=month.reset_at,
        )

    def _write_down(self, product: str, asked: ConsumeBody, now: float, *, counted: bool) -> None:
        self._store.run(
            f"INSERT INTO {'consumes' if counted else 'refusals'} "  # noqa: S608 - one of two
            "(key, org_id, product, resource, amount, at) VALUES (?, ?, ?, ?, ?, ?)",
            (asked.idempotency_key, asked.org_id, product, asked.resource.value, asked.amount, now),
        )
        if not counted:
            self._store.keep_newest("refusals", choices.REFUSALS_KEPT)

    def _remembered(
        self, product: str, asked: ConsumeBody, key: str, now: float
    ) -> ConsumeReply | None:
        found = self._store.row(
            "SELECT resource, amount, body FROM answers "
            "WHERE product = ? AND org_id = ? AND key = ? AND at > ?",
            (product, asked.org_id, key, now - choices.IDEMPOTENCY_SECONDS),
        )
        if found is None:
            return None
        resource, amount, body = found
        if (resource, amount) != (asked.resource.value, asked.amount):
            wanted = f"{asked.amount} {asked.resource.value}"
            detail = f"idempotency_key was used for {amount} {resource}; use a new one for {wanted}"
            raise Rejection(choices.CONFLICTING_KEY, detail)
        return ConsumeReply.model_validate_json(body)

    def _remember(
        self, product: str, asked: ConsumeBody, key: str, reply: ConsumeReply, now: float
    ) -> None:
        # Two old answers go for each new one: the table stays small and no consume pays for all.
        oldest = "SELECT id FROM answers WHERE at <= ? ORDER BY at LIMIT 2"
        sql = f"DELETE FROM answers WHERE id IN ({oldest})"  # noqa: S608 - as above
        self._store.run(sql, (now - choices.IDEMPOTENCY_SECONDS,))
        values = (product, asked.org_id, key, asked.resource.value, asked.amount)
        self._store.run(
            "REPLACE INTO answers (product, org_id, key, resource, amount, body, at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*values, reply.model_dump_json(), now),
        )

    def _used(self, org_id: str, resource: str, month: Month) -> int:
        return self._store.number(
            "SELECT coalesce(sum(used), 0) FROM usage "
            "WHERE org_id = ? AND resource = ? AND month = ?",
            (org_id, str(resource), month.name),
        )

    def _month(self) -> Month:
        return month_of(self._clock.time())


def _state(month: Month, limit: int, total: int, share: int | None) -> QuotaReply:
    return QuotaReply(
        used=total if share is None else share,
        limit=limit,
        remaining=_remaining(limit, total),
        period=choices.PERIOD,
        reset_at=month.reset_at,
    )


def _require_store(*, store_down: bool) -> None:
    if store_down:
        raise Rejection(choices.STORE_DOWN_ELSEWHERE, "the quota store is down")


def _remaining(limit: int, used: int) -> int:
    return UNLIMITED if limit == UNLIMITED else max(limit - used, 0)
