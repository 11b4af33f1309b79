"""What goes over the wire for workspace records, the catalog and the search."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import AfterValidator, Field, JsonValue, StringConstraints

from sidecar.local_platform.choices import LIST_LIMIT
from sidecar.local_platform.wire import Name, Offset, PageSize, Query, ReplyBody, RequestBody, Time


def _is_json(meta: dict[str, JsonValue]) -> dict[str, JsonValue]:
    # Pydantic reads NaN and Infinity, which are not JSON and could not be answered.
    json.dumps(meta, allow_nan=False)
    return meta


Meta = Annotated[dict[str, JsonValue], AfterValidator(_is_json)]
Text = Annotated[str, StringConstraints(max_length=10_000)]


class RecordBody(RequestBody):
    """`POST /v1/workspace-records` (contract, Workspace records)."""

    org_id: Name
    source_product: Name
    record_type: Name
    source_ref: Name
    title: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    subtitle: Text | None = None
    summary_text: Text | None = None
    app_href: Text | None = None
    status: Name = "active"
    meta: Meta = Field(default_factory=dict)


class PublishReply(ReplyBody):
    """Which record it is; the same one for the same source [api]."""

    workspace_record_id: str
    status: str


class RecordReply(ReplyBody):
    """A workspace record."""

    workspace_record_id: str
    org_id: str
    source_product: str
    record_type: str
    source_ref: str
    title: str
    subtitle: str | None
    summary_text: str | None
    app_href: str | None
    status: str
    meta: dict[str, JsonValue]
    created_at: Time
    updated_at: Time


class RecordHit(RecordReply):
    """A record that a search found; a higher score is a better match."""

    score: float


class RecordsReply(ReplyBody):
    """A page of records and how many there are in all [shape: ours]."""

    records: list[RecordReply]
    total: int
    limit: int
    offset: int


class SearchReply(ReplyBody):
    """What a search found, best first [shape: ours]."""

    query: str
    results: list[RecordHit]


class CatalogEntry(ReplyBody):
    """A product, and whether the org has it."""

    product_id: str
    name: str
    entitled: bool


class CatalogReply(ReplyBody):
    """`GET /v1/catalog` [shape: ours]."""

    products: list[CatalogEntry]


class RecordsQuery(Query):
    """`GET /v1/workspace-records`."""

    record_type: Name | None = None
    source_product: Name | None = None
    status: Name | None = None
    limit: PageSize = LIST_LIMIT
    offset: Offset = 0


class SearchQuery(Query):
    """`GET /v1/org/retrieve`."""

    q: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    record_type: Name | None = None
    product: Name | None = None
    limit: PageSize = LIST_LIMIT
