"""Which endpoints and fields of the platform this project uses: one table, held against OpenAPI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Use:
    """What one endpoint is used for: names and types of what is sent and what is read.

    `reads` are paths: `*` is any member, `[]` any item. `reads_ours`: those of a shape that is our
    choice, so a difference from it is news and no fault (contract, [ours]). `ours`: all of it is.
    """

    method: str
    path: str
    sends: Mapping[str, str] = field(default_factory=dict)
    query: tuple[str, ...] = ()
    reads: Mapping[str, str] = field(default_factory=dict)
    reads_ours: Mapping[str, str] = field(default_factory=dict)
    ours: bool = False


def _texts(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "string")


def _under(prefix: str, members: Mapping[str, str]) -> dict[str, str]:
    return {f"{prefix}.{name}": kind for name, kind in members.items()}


_QUOTA: Final = {
    **dict.fromkeys(("used", "limit", "remaining"), "integer"), **_texts("period", "reset_at"),
}  # fmt: skip
_RECORD: Final = _texts("org_id", "source_product", "record_type", "source_ref", "title")
_LISTED: Final = {**_texts("workspace_record_id"), **_RECORD}

USES: Final = (
    Use(
        "POST", "/v1/quota/consume",
        sends={
            **_texts("org_id", "resource", "product_id", "idempotency_key"), "amount": "integer",
        },
        reads={"allowed": "boolean", "resource": "string", **_QUOTA},
    ),
    Use("GET", "/v1/quota/status", reads={"org_id": "string", **_under("quotas.*", _QUOTA)}),
    Use(
        "GET", "/v1/quota/breakdown", ours=True,
        reads_ours={"org_id": "string", **_under("products.*.*", _QUOTA)},
    ),
    Use(
        "POST", "/v1/workspace-records",
        sends={
            **_RECORD, **_texts("subtitle", "summary_text", "app_href", "status"),
            "meta": "object",
        },
        reads=_texts("workspace_record_id", "status"),
    ),
    Use(
        "GET", "/v1/workspace-records",
        query=("record_type", "source_product", "status", "limit", "offset"),
        reads_ours={
            **dict.fromkeys(("total", "limit", "offset"), "integer"),
            **_under("records.[]", _LISTED),
        },
    ),
    Use(
        "GET", "/v1/catalog",
        reads_ours=_under("products.[]", {"product_id": "string", "entitled": "boolean"}),
    ),
    Use(
        "GET", "/v1/org/retrieve", query=("q", "record_type", "product", "limit"),
        reads_ours=_under("results.[]", _LISTED),
    ),
    Use(
        "POST", "/v1/webhooks", sends={"url": "string", "event_types": "array"},
        reads=_texts("secret"), reads_ours=_texts("id"),
    ),
    Use("POST", "/v1/webhooks/{id}/test"),
    Use(
        "GET", "/v1/dev/api-requests", query=("limit",),
        reads_ours=_under("requests.[]", {**_texts("method", "path"), "status": "integer"}),
    ),
    Use(
        "GET", "/v1/dev/webhook-deliveries", query=("limit",),
        reads_ours=_under("deliveries.[]", _texts("id", "event")),
    ),
)  # fmt: skip
