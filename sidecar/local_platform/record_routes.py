"""Workspace records, catalog and search (contract, Endpoints)."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from sidecar.local_platform.access import AccessKind, OrgCaller
from sidecar.local_platform.directory import Directory
from sidecar.local_platform.endpoint import AnyEndpoint, Asked, Endpoint
from sidecar.local_platform.record_wire import (
    CatalogEntry,
    CatalogReply,
    PublishReply,
    RecordBody,
    RecordsQuery,
    RecordsReply,
    SearchQuery,
    SearchReply,
)
from sidecar.local_platform.records import Records
from sidecar.local_platform.wire import NoBody, NoQuery


@dataclass(frozen=True, slots=True)
class RecordRoutes:
    """What an org's people see of its products."""

    _records: Records
    _directory: Directory
    _reader: AccessKind[OrgCaller]
    _writer: AccessKind[OrgCaller]

    def endpoints(self) -> list[AnyEndpoint]:
        """Return the endpoints, for serving and for the schema."""
        return [
            Endpoint(
                "POST /v1/workspace-records", self._publish, self._writer, status=HTTPStatus.CREATED
            ),
            Endpoint("GET /v1/workspace-records", self._list, self._reader),
            Endpoint("GET /v1/catalog", self._catalog, self._reader),
            Endpoint("GET /v1/org/retrieve", self._search, self._reader),
        ]

    async def _publish(self, asked: Asked[OrgCaller, RecordBody, NoQuery]) -> PublishReply:
        """Publish a record, or change the one of the same source."""
        return self._records.publish(asked.caller, asked.body)

    async def _list(self, asked: Asked[OrgCaller, NoBody, RecordsQuery]) -> RecordsReply:
        """The records of the key's own org."""
        return self._records.page(asked.caller, asked.query)

    async def _catalog(self, asked: Asked[OrgCaller, NoBody, NoQuery]) -> CatalogReply:
        """The products, and which of them the org has."""
        org = self._directory.org(asked.caller.org_id)
        has = () if org is None else org.apps
        return CatalogReply(
            products=[
                CatalogEntry(product_id=slug, name=name, entitled=slug in has)
                for slug, name in self._directory.products().items()
            ]
        )

    async def _search(self, asked: Asked[OrgCaller, NoBody, SearchQuery]) -> SearchReply:
        """Search the org's records."""
        return self._records.search(asked.caller, asked.query)
