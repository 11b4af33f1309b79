"""Workspace records: published by products, listed and searched by their org; the catalog."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, JsonValue, StringConstraints

from sidecar.domain.ports import Clock
from sidecar.local_platform import choices
from sidecar.local_platform.directory import Directory, OrgCaller
from sidecar.local_platform.rejection import Rejection
from sidecar.local_platform.store import Store
from sidecar.local_platform.wire import Name, Offset, PageSize, Query, ReplyBody, RequestBody, Time

_WORD: Final = re.compile(r"[^\W_]+")
_WORDS_MAX: Final = 32

_COLUMNS: Final = """
id AS workspace_record_id, org_id, source_product, record_type, source_ref, records.title AS title,
  records.subtitle AS subtitle, records.summary_text AS summary_text, app_href, status, meta,
  created_at, updated_at
"""

_UPSERT: Final = """
INSERT INTO records (id, org_id, source_product, record_type, source_ref, title, subtitle,
  summary_text, app_href, status, meta, created_at, updated_at)
VALUES (:id, :org_id, :source_product, :record_type, :source_ref, :title, :subtitle,
  :summary_text, :app_href, :status, :meta, :now, :now)
ON CONFLICT (org_id, source_product, record_type, source_ref) DO UPDATE SET
  title = excluded.title, subtitle = excluded.subtitle, summary_text = excluded.summary_text,
  app_href = excluded.app_href, status = excluded.status, meta = excluded.meta,
  updated_at = excluded.updated_at
RETURNING id, status
"""

_WANTED: Final = """
records WHERE org_id = :org_id AND (:record_type IS NULL OR record_type = :record_type)
  AND (:source_product IS NULL OR source_product = :source_product)
  AND (:status IS NULL OR status = :status)
"""

_COUNT: Final = f"SELECT count(*) FROM {_WANTED}"  # noqa: S608  # our own words

_PAGE: Final = f"""
SELECT {_COLUMNS} FROM {_WANTED} ORDER BY updated_at DESC, number DESC LIMIT :limit OFFSET :offset
"""  # noqa: S608  # as above

# SQLite's rank is better the lower; a score is better the higher. The title weighs most.
_SEARCH: Final = f"""
SELECT {_COLUMNS}, -bm25(records_text, 8.0, 4.0, 1.0) AS score
FROM records_text JOIN records ON number = records_text.rowid
WHERE records_text MATCH :match AND org_id = :org_id
  AND (:record_type IS NULL OR record_type = :record_type)
  AND (:product IS NULL OR source_product = :product)
ORDER BY score DESC, number DESC LIMIT :limit
"""  # noqa: S608  # as above


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
    limit: PageSize = choices.LIST_LIMIT
    offset: Offset = 0


class SearchQuery(Query):
    """`GET /v1/org/retrieve`."""

    q: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    record_type: Name | None = None
    product: Name | None = None
    limit: PageSize = choices.LIST_LIMIT


@dataclass(frozen=True, slots=True)
class Records:
    """What an org's people see of its products (contract, Workspace records; Catalog, search)."""

    _store: Store
    _directory: Directory
    _clock: Clock

    def publish(self, caller: OrgCaller, body: RecordBody) -> PublishReply:
        """Publish a record, or change the one of the same source.

        That is the one with the same org, product, type and reference. Raises Rejection (403) for
        another org, and for a product that is not the key's own or that the org does not have.
        """
        self._require_own(caller, body)
        with self._store.transaction():
            values = {**body.model_dump(), "meta": json.dumps(body.meta), "now": self._clock.time()}
            found = self._store.one(_UPSERT, {**values, "id": f"wr_{secrets.token_hex(12)}"})
        return PublishReply(workspace_record_id=found[0], status=found[1])

    def page(self, caller: OrgCaller, query: RecordsQuery) -> RecordsReply:
        """The records of the key's own org, newest change first, and how many there are."""
        filters = {**query.model_dump(), "org_id": caller.org_id}
        rows = self._store.rows(_PAGE, filters)
        return RecordsReply(
            records=[RecordReply(**_fields(row)) for row in rows],
            total=self._store.number(_COUNT, {**filters}),
            limit=query.limit,
            offset=query.offset,
        )

    def search(self, caller: OrgCaller, query: SearchQuery) -> SearchReply:
        """Search the org's records: those that have every word of `q`, best first.

        Words match from their beginning. A `q` without a word finds nothing.
        """
        words = _WORD.findall(query.q)[:_WORDS_MAX]
        if not words:
            return SearchReply(query=query.q, results=[])
        # Quoted, so that no word is an operator of the search language.
        match = " AND ".join(f'"{word}"*' for word in words)
        values = {**query.model_dump(), "match": match, "org_id": caller.org_id}
        rows = self._store.rows(_SEARCH, values)
        return SearchReply(
            query=query.q,
            results=[RecordHit(**_fields(row)) for row in rows],
        )

    def catalog(self, caller: OrgCaller) -> CatalogReply:
        """The products, and which of them the org has."""
        org = self._directory.org(caller.org_id)
        has = () if org is None else org.apps
        return CatalogReply(
            products=[
                CatalogEntry(product_id=slug, name=name, entitled=slug in has)
                for slug, name in self._directory.products().items()
            ]
        )

    def _require_own(self, caller: OrgCaller, body: RecordBody) -> None:
        if body.org_id != caller.org_id:
            raise Rejection(HTTPStatus.FORBIDDEN, "a key publishes for its own org only")
        if caller.product is not None and body.source_product != caller.product:
            raise Rejection(HTTPStatus.FORBIDDEN, f"this key publishes as {caller.product!r} only")
        org = self._directory.org(caller.org_id)
        if org is None or body.source_product not in org.apps:
            raise Rejection(choices.NOT_ENTITLED, f"the org does not have {body.source_product!r}")


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "meta": json.loads(row["meta"])}
