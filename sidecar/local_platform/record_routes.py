"""Workspace records, catalog and search (contract, Endpoints)."""

from __future__ import annotations

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


def record_endpoints(
    records: Records,
    directory: Directory,
    reader: AccessKind[OrgCaller],
    writer: AccessKind[OrgCaller],
) -> list[AnyEndpoint]:
    """Return what an org's people see of its products."""

    async def publish(asked: Asked[OrgCaller, RecordBody, NoQuery]) -> PublishReply:
        """Publish a record, or change the one of the same source."""
        return records.publish(asked.caller, asked.body)

    async def listed(asked: Asked[OrgCaller, NoBody, RecordsQuery]) -> RecordsReply:
        """The records of the key's own org."""
        return records.page(asked.caller, asked.query)

    async def catalog(asked: Asked[OrgCaller, NoBody, NoQuery]) -> CatalogReply:
        """The products, and which of them the org has."""
        org = directory.org(asked.caller.org_id)
        has = () if org is None else org.apps
        return CatalogReply(
            products=[
                CatalogEntry(product_id=slug, name=name, entitled=slug in has)
                for slug, name in directory.products().items()
            ]
        )

    async def search(asked: Asked[OrgCaller, NoBody, SearchQuery]) -> SearchReply:
        """Search the org's records."""
        return records.search(asked.caller, asked.query)

    return [
        Endpoint("POST /v1/workspace-records", publish, writer, status=HTTPStatus.CREATED),
        Endpoint("GET /v1/workspace-records", listed, reader),
        Endpoint("GET /v1/catalog", catalog, reader),
        Endpoint("GET /v1/org/retrieve", search, reader),
    ]
