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


_QUOTA: Final = {
    "used": "integer",
    "limit": "integer",
    "remaining": "integer",
    "period": "string",
    "reset_at": "string",
}


def _under(prefix: str, members: Mapping[str, str]) -> dict[str, str]:
    return {f"{prefix}.{name}": kind for name, kind in members.items()}


_RECORD: Final = dict.fromkeys(
    ("org_id", "source_product", "record_type", "source_ref", "title"), "string"
)

USES: Final = (
    Use(
        "POST",
        "/v1/quota/consume",
        sends={
            "org_id": "string",
            "resource": "string",
            "amount": "integer",
            "product_id": "string",
            "idempotency_key": "string",
        },
        reads={"allowed": "boolean", "resource": "string", **_QUOTA},
    ),
    Use("GET", "/v1/quota/status", reads={"org_id": "string", **_under("quotas.*", _QUOTA)}),
    Use(
        "GET",
        "/v1/quota/breakdown",
        reads_ours={"org_id": "string", **_under("products.*.*", _QUOTA)},
        ours=True,
    ),
    Use(
        "POST",
        "/v1/workspace-records",
        sends={
            **_RECORD,
            **dict.fromkeys(("subtitle", "summary_text", "app_href", "status"), "string"),
            "meta": "object",
        },
        reads={"workspace_record_id": "string", "status": "string"},
    ),
    Use(
        "GET",
        "/v1/workspace-records",
        query=("record_type", "source_product", "status", "limit", "offset"),
        reads_ours={
            "total": "integer",
            "limit": "integer",
            "offset": "integer",
            **_under("records.[]", {"workspace_record_id": "string", **_RECORD}),
        },
    ),
    Use(
        "GET",
        "/v1/catalog",
        reads_ours=_under("products.[]", {"product_id": "string", "entitled": "boolean"}),
    ),
    Use(
        "GET",
        "/v1/org/retrieve",
        query=("q", "record_type", "product", "limit"),
        reads_ours=_under("results.[]", {"workspace_record_id": "string", **_RECORD}),
    ),
    Use(
        "POST",
        "/v1/webhooks",
        sends={"url": "string", "event_types": "array"},
        reads={"secret": "string"},
        reads_ours={"id": "string"},
    ),
    Use("POST", "/v1/webhooks/{id}/test"),
    Use(
        "GET",
        "/v1/dev/api-requests",
        query=("limit",),
        reads_ours=_under(
            "requests.[]", {"method": "string", "path": "string", "status": "integer"}
        ),
    ),
    Use(
        "GET",
        "/v1/dev/webhook-deliveries",
        query=("limit",),
        reads_ours=_under("deliveries.[]", {"id": "string", "event": "string"}),
    ),
)
