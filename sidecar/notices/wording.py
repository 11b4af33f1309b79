"""What a notice says. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sidecar.domain.quota import Quota

RECORD_TYPE: Final = "quota_notice"
"""Our word [ours]; the contract leaves the type of a record to the product."""

_NAMES: Final = {
    "ai_calls": "AI calls",
    "api_calls": "API calls",
    "storage_bytes": "storage",
    "seats": "seats",
}
_WHOLE: Final = 100


@dataclass(frozen=True, slots=True)
class Notice:
    """A workspace record about one org's resource. `status` is `active` or `resolved`."""

    org_id: str
    source_product: str
    source_ref: str
    title: str
    summary_text: str
    status: str
    meta: dict[str, object]


def notice_of(org_id: str, product: str, quota: Quota, level: int) -> Notice:
    """Say that `level` percent are reached, or, for 0, that it is over."""
    name = _NAMES.get(quota.resource, quota.resource)
    until = datetime.fromtimestamp(quota.reset_at, UTC)
    if level >= _WHOLE:
        title = f"The quota of {name} is used up"
    elif level:
        title = f"{level} % of the quota of {name} is used"
    else:
        title = f"The quota of {name} is sufficient again"
    return Notice(
        org_id=org_id,
        source_product=product,
        source_ref=f"quota:{quota.resource}",
        title=title,
        summary_text=(
            f"{quota.used} of {quota.limit} {quota.resource} used in this {quota.period};"
            f" it starts again on {until:%Y-%m-%d %H:%M} UTC."
        ),
        status="active" if level else "resolved",
        meta={
            "resource": quota.resource,
            "level_percent": level,
            "used": quota.used,
            "limit": quota.limit,
            "remaining": quota.remaining,
            "reset_at": until.isoformat(),
        },
    )
