"""Which endpoints and fields of the platform this project uses: one table, held against OpenAPI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Use:
    """What one endpoint is used for: names and types of what is sent and what is read.

    `reads` are paths: `*` is any member, `[]` any item. `ours`: the shape is our choice, so a
    difference from it is news and no fault (contract, [ours]).
    """

    method: str
    path: str
    sends: Mapping[str, str] = field(default_factory=dict)
    query: tuple[str, ...] = ()
    reads: Mapping[str, str] = field(default_factory=dict)
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
        reads={"org_id": "string", **_under("products.*.*", _QUOTA)},
        ours=True,
    ),
    Use(
        "POST",
        "/v1/workspace-records",
        sends={
            **dict.fromkeys(
                ("org_id", "source_product", "record_type", "source_ref", "title"), "string"
            ),
            **dict.fromkeys(("subtitle", "summary_text", "app_href", "status"), "string"),
            "meta": "object",
        },
        reads={"workspace_record_id": "string", "status": "string"},
    ),
    Use(
        "GET",
        "/v1/workspace-records",
        query=("record_type", "source_product", "status", "limit", "offset"),
    ),
    Use(
        "GET",
        "/v1/workspace-records",
        query=("record_type", "source_product", "status", "limit", "offset"),
        reads={
            "total": "integer",
            "limit": "integer",
            "offset": "integer",
            **_under(
                "records.[]",
                dict.fromkeys(
                    ("org_id", "source_product", "record_type", "source_ref", "title"), "string"
                ),
            ),
        },
        ours=True,
    ),
    Use("GET", "/v1/catalog"),
    Use("GET", "/v1/catalog", reads={"products.[].entitled": "boolean"}, ours=True),
    Use("GET", "/v1/org/retrieve", query=("q", "record_type", "product", "limit")),
    Use(
        "POST",
        "/v1/webhooks",
        sends={"url": "string", "event_types": "array"},
        reads={"secret": "string"},
    ),
    Use("POST", "/v1/webhooks/{id}/test"),
    Use("GET", "/v1/dev/api-requests", query=("limit",)),
    Use("GET", "/v1/dev/webhook-deliveries", query=("limit",)),
)
