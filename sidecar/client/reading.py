"""From the JSON of an answer to a result. Pure.

Strict about what the contract publishes; lenient about what it does not: where only our choice
says a shape, a bare list is taken for the list, and a field that is not there is None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar

from sidecar.client.results import (
    ApiRequest,
    CatalogProduct,
    Consumption,
    FoundRecord,
    PublishedRecord,
    QuotaBreakdown,
    QuotaStatus,
    RecordPage,
    SigningKey,
    VerifiedToken,
    Webhook,
    WebhookDelivery,
    WebhookTest,
    WorkspaceRecord,
)
from sidecar.domain.model import Quota
from sidecar.domain.quota import read_instant, read_quota
from sidecar.settings.secret import Secret

T = TypeVar("T")
Members = Mapping[str, object]

# Names for which the contract publishes none [ours]; the first that is there is taken.
_PRODUCTS: Final = ("products", "catalog", "items")
_RESULTS: Final = ("results", "records", "items")
_REQUESTS: Final = ("requests", "api_requests", "items")
_DELIVERIES: Final = ("deliveries", "webhook_deliveries", "items")
_WEBHOOK_ID: Final = ("id", "endpoint_id", "webhook_id")
_PRODUCT_ID: Final = ("product_id", "slug", "id")
_RECORD_ID: Final = ("workspace_record_id", "id")


class MisreadError(ValueError):
    """The answer lacks what it must have; the text names the field."""


def members_of(value: object, what: str = "the answer") -> Members:
    """Return a JSON object's members. Raises MisreadError."""
    if not isinstance(value, dict):
        raise MisreadError(f"{what} is no object")
    return value


def read_consumption(value: object, resource: str, key: str) -> Consumption:
    """Read the answer of consume. Raises MisreadError."""
    answer = members_of(value)
    allowed = answer.get("allowed")
    if not isinstance(allowed, bool):
        raise MisreadError("`allowed` is no boolean")
    if answer.get("resource") != resource:
        raise MisreadError(f"`resource` is not {resource!r}")
    return Consumption(allowed, _quota(answer, resource), key)


def read_status(value: object) -> QuotaStatus:
    """Read quota status. Raises MisreadError."""
    answer = members_of(value)
    return QuotaStatus(_text(answer, "org_id"), _quotas(answer.get("quotas"), "`quotas`"))


def read_breakdown(value: object) -> QuotaBreakdown:
    """Read the breakdown. Raises MisreadError."""
    answer = members_of(value)
    products = members_of(answer.get("products"), "`products`")
    return QuotaBreakdown(
        _text(answer, "org_id"),
        {name: _quotas(split, f"`products.{name}`") for name, split in products.items()},
    )


def read_published(value: object) -> PublishedRecord:
    """Read the answer of publishing. Raises MisreadError."""
    answer = members_of(value)
    return PublishedRecord(_text(answer, "workspace_record_id"), _text(answer, "status"))


def read_page(value: object) -> RecordPage:
    """Read a page of records. Raises MisreadError."""
    answer = members_of(value)
    records = tuple(_record(each) for each in _list(answer, ("records",)))
    return RecordPage(
        records, _whole(answer, "total"), _whole(answer, "limit"), _whole(answer, "offset")
    )


def read_catalog(value: object) -> tuple[CatalogProduct, ...]:
    """Read the catalog. Raises MisreadError."""
    return _each(value, _PRODUCTS, _product)


def read_found(value: object) -> tuple[FoundRecord, ...]:
    """Read what a search found. Raises MisreadError."""
    return _each(value, _RESULTS, lambda each: FoundRecord(_record(each), _number(each, "score")))


def read_webhook(value: object) -> Webhook:
    """Read a registration; the secret stays one. Raises MisreadError."""
    answer = members_of(value)
    types = answer.get("event_types")
    return Webhook(
        id=_first(answer, _WEBHOOK_ID),
        url=_maybe(answer, "url") or "",
        event_types=_texts(types if isinstance(types, list) else []),
        secret=Secret(_text(answer, "secret")),
    )


def read_webhook_test(value: object) -> WebhookTest:
    """Read the answer of a test; nothing of its shape is published [ours]."""
    answer = value if isinstance(value, dict) else {}
    return WebhookTest(_maybe(answer, "delivery_id"), _maybe(answer, "event") or "webhook.test")


def read_requests(value: object) -> tuple[ApiRequest, ...]:
    """Read recent calls. Raises MisreadError."""
    return _each(value, _REQUESTS, _request)


def read_deliveries(value: object) -> tuple[WebhookDelivery, ...]:
    """Read recent deliveries. Raises MisreadError."""
    return _each(value, _DELIVERIES, _delivery)


def read_verified(value: object) -> VerifiedToken:
    """Read whom a token speaks for. Raises MisreadError."""
    answer = members_of(value)
    apps = answer.get("apps")
    if not isinstance(apps, list):
        raise MisreadError("`apps` is no list")
    return VerifiedToken(
        user_id=_text(answer, "user_id"),
        email=_text(answer, "email"),
        full_name=_text(answer, "full_name"),
        org_id=_text(answer, "org_id"),
        role=_text(answer, "role"),
        apps=_texts(apps),
        plan=_text(answer, "plan"),
        is_platform_admin=answer.get("is_platform_admin") is True,
    )


def read_keys(value: object) -> tuple[SigningKey, ...]:
    """Read the key set; only what names the keys. Raises MisreadError."""
    return tuple(
        SigningKey(_text(key, "kid"), _text(key, "kty"), _maybe(key, "alg"), _maybe(key, "use"))
        for key in _list(members_of(value), ("keys",))
    )


def read_detail(value: object) -> str:
    """Return the `detail` of an error body as one line: its text, or the fields of a 422."""
    detail = value.get("detail") if isinstance(value, dict) else None
    if isinstance(detail, list):
        return "; ".join(_field_problem(each) for each in detail[:10])
    return " ".join(detail.split())[:500] if isinstance(detail, str) else ""


def _field_problem(problem: object) -> str:
    if not isinstance(problem, dict):
        return str(problem)[:200]
    where = problem.get("loc")
    place = ".".join(map(str, where)) if isinstance(where, list) else "?"
    return f"{place}: {problem.get('msg')}"[:200]


def _quota(answer: Members, resource: str) -> Quota:
    quota = read_quota(answer, resource)
    if quota is None:
        raise MisreadError(
            f"the quota of {resource} is not whole: it has limit, used, remaining, period, reset_at"
        )
    return quota


def _quotas(value: object, what: str) -> Mapping[str, Quota]:
    return {
        resource: _quota(members_of(quota, f"{what}.{resource}"), resource)
        for resource, quota in members_of(value, what).items()
    }


def _record(members: Members) -> WorkspaceRecord:
    meta = members.get("meta")
    return WorkspaceRecord(
        workspace_record_id=_first(members, _RECORD_ID),
        org_id=_text(members, "org_id"),
        source_product=_text(members, "source_product"),
        record_type=_text(members, "record_type"),
        source_ref=_text(members, "source_ref"),
        title=_text(members, "title"),
        subtitle=_maybe(members, "subtitle"),
        summary_text=_maybe(members, "summary_text"),
        app_href=_maybe(members, "app_href"),
        status=_maybe(members, "status") or "",
        meta=meta if isinstance(meta, dict) else {},
        created_at=_instant(members, "created_at"),
        updated_at=_instant(members, "updated_at"),
    )


def _product(members: Members) -> CatalogProduct:
    entitled = members.get("entitled")
    if not isinstance(entitled, bool):
        raise MisreadError("`entitled` is no boolean")
    product_id = _first(members, _PRODUCT_ID)
    return CatalogProduct(product_id, _maybe(members, "name") or product_id, entitled)


def _request(members: Members) -> ApiRequest:
    return ApiRequest(
        method=_text(members, "method"),
        path=_text(members, "path"),
        status=_whole(members, "status"),
        duration_ms=_number(members, "duration_ms"),
        at=_instant(members, "at"),
    )


def _delivery(members: Members) -> WebhookDelivery:
    status = members.get("last_status")
    attempts = members.get("attempts")
    return WebhookDelivery(
        id=_first(members, ("id", "delivery_id")),
        event=_text(members, "event"),
        url=_maybe(members, "url") or "",
        state=_maybe(members, "state") or "",
        attempts=attempts if isinstance(attempts, int) else 0,
        last_status=status if isinstance(status, int) else None,
        last_error=_maybe(members, "last_error"),
        endpoint_id=_maybe(members, "endpoint_id"),
        product_id=_maybe(members, "product_id"),
        org_id=_maybe(members, "org_id"),
        created_at=_instant(members, "created_at"),
    )


def _each(value: object, names: Iterable[str], read: Callable[[Members], T]) -> tuple[T, ...]:
    """Read each object of a list that is the answer, or stands in it under one of `names`."""
    found = value if isinstance(value, list) else None
    if found is None:
        return tuple(read(each) for each in _list(members_of(value), names))
    return tuple(read(members_of(each, "an item")) for each in found)


def _list(answer: Members, names: Iterable[str]) -> list[Members]:
    for name in names:
        found = answer.get(name)
        if isinstance(found, list):
            return [members_of(each, f"an item of `{name}`") for each in found]
    raise MisreadError(f"no list {' or '.join(f'`{name}`' for name in names)}")


def _first(members: Members, names: Iterable[str]) -> str:
    for name in names:
        found = members.get(name)
        if isinstance(found, str) and found:
            return found
    raise MisreadError(f"no {' or '.join(f'`{name}`' for name in names)}")


def _text(members: Members, name: str) -> str:
    found = members.get(name)
    if not isinstance(found, str):
        raise MisreadError(f"`{name}` is no text")
    return found


def _maybe(members: Members, name: str) -> str | None:
    found = members.get(name)
    return found if isinstance(found, str) else None


def _whole(members: Members, name: str) -> int:
    found = members.get(name)
    if not isinstance(found, int) or isinstance(found, bool):
        raise MisreadError(f"`{name}` is no whole number")
    return found


def _number(members: Members, name: str) -> float | None:
    found = members.get(name)
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def _instant(members: Members, name: str) -> float | None:
    found = members.get(name)
    return read_instant(found) if isinstance(found, str) else None


def _texts(values: Iterable[object]) -> tuple[str, ...]:
    return tuple(value for value in values if isinstance(value, str))
