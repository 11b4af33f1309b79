from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.client import reading, results
from sidecar.client.members import MisreadError
from sidecar.client.reading import one, several

QUOTA = {
    "used": 12,
    "limit": 25,
    "remaining": 13,
    "period": "month",
    "reset_at": "2025-11-01T00:00:00Z",
}
CONSUMED = {"allowed": True, "resource": "ai_calls", **QUOTA}
RECORD = {
    "workspace_record_id": "rec_1",
    "org_id": "org_acme",
    "source_product": "acme-notes",
    "record_type": "note",
    "source_ref": "n1",
    "title": "Budget",
}

json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)

READERS = [
    one(results.QuotaStatus),
    one(results.QuotaBreakdown),
    one(results.PublishedRecord),
    reading.read_page,
    several(results.CatalogProduct, "products"),
    reading.read_found,
    one(results.Webhook),
    reading.read_webhook_test,
    several(results.ApiRequest, "requests"),
    several(results.WebhookDelivery, "deliveries"),
    one(results.VerifiedToken),
    several(results.SigningKey, "keys"),
    lambda value: reading.read_consumption(value, "ai_calls", "k"),
]


@pytest.mark.parametrize("read", READERS)
@given(json)
def test_whatever_comes_is_read_or_named_as_wrong(read: Any, value: object) -> None:
    """No answer ends a caller with another error than the one it expects."""
    try:
        read(value)
    except MisreadError:
        return


@given(json)
def test_any_error_body_has_a_detail_of_one_line(value: object) -> None:
    """Which may be empty."""
    assert "\n" not in reading.read_detail({"detail": str(value)})
    assert isinstance(reading.read_detail(value), str)


def test_a_consume_is_read_whole() -> None:
    """All seven fields of the contract, and the key that was sent."""
    told = reading.read_consumption(CONSUMED, "ai_calls", "k1")
    assert (told.allowed, told.key, told.quota.used, told.quota.limit) == (True, "k1", 12, 25)
    assert told.quota.reset_at == 1_761_955_200


@pytest.mark.parametrize("field", sorted(CONSUMED))
def test_a_consume_without_a_field_is_misread(field: str) -> None:
    """Half an answer is none."""
    with pytest.raises(MisreadError):
        reading.read_consumption(
            {name: value for name, value in CONSUMED.items() if name != field}, "ai_calls", "k"
        )


def test_a_breakdown_is_read_by_product() -> None:
    """Product, then resource."""
    told = one(results.QuotaBreakdown)(
        {"org_id": "org_acme", "products": {"acme-notes": {"ai_calls": QUOTA}}}
    )
    assert told.products["acme-notes"]["ai_calls"].remaining == 13


@pytest.mark.parametrize("value", [[RECORD], {"results": [RECORD]}, {"records": [RECORD]}])
def test_a_search_may_have_any_of_the_shapes(value: object) -> None:
    """None of them is published."""
    (found,) = reading.read_found(value)
    assert (found.record.title, found.score) == ("Budget", None)


def test_a_record_keeps_what_it_has() -> None:
    """Optional fields too."""
    whole = {**RECORD, "meta": {"a": 1}, "status": "active", "created_at": "2025-11-01T00:00:00Z"}
    page = reading.read_page({"records": [whole], "total": 1, "limit": 50, "offset": 0})
    assert (page.records[0].meta, page.records[0].created_at) == ({"a": 1}, 1_761_955_200)


def test_the_secret_of_a_webhook_does_not_print() -> None:
    """It is shown by name alone."""
    webhook = one(results.Webhook)({"id": "wh_1", "secret": "whsec_x", "event_types": ["org.*"]})
    assert "whsec_x" not in repr(webhook)
    assert webhook.secret.reveal() == "whsec_x"


def test_a_422_names_its_fields() -> None:
    """As the platform locates them."""
    detail = [{"loc": ["body", "amount"], "msg": "must be at least 1", "type": "x"}, "odd"]
    assert reading.read_detail({"detail": detail}) == "body.amount: must be at least 1; odd"
