"""`bb-sidecar records publish|list`, `catalog` and `search`."""

from __future__ import annotations

import argparse

from sidecar.client import NewRecord, PlatformClient, WorkspaceRecord
from sidecar.commands.output import Shown, when

_COLUMNS = ("product", "type", "ref", "title", "status", "updated")


async def publish(client: PlatformClient, args: argparse.Namespace) -> Shown:
    """Publish a record, or change the one of the same source."""
    record = NewRecord(
        org_id=args.org,
        source_product=args.product,
        record_type=args.type,
        source_ref=args.ref,
        title=args.title,
        subtitle=args.subtitle,
        summary_text=args.summary,
        app_href=args.href,
        status=args.status,
        meta=args.meta or {},
    )
    answer = await client.publish_record(record)
    return Shown(answer, ("id", "status"), [(answer.workspace_record_id, answer.status)])


async def list_records(client: PlatformClient, args: argparse.Namespace) -> Shown:
    """Show the org's records, the first `--limit` of them."""
    found: list[WorkspaceRecord] = []
    records = client.records(record_type=args.type, source_product=args.product, status=args.status)
    async for record in records:
        if len(found) == args.limit:
            return _records(found, f"the first {args.limit}; --limit shows more")
        found.append(record)
    return _records(found, "")


async def catalog(client: PlatformClient, _args: argparse.Namespace) -> Shown:
    """Show the products that the org can see."""
    answer = await client.catalog()
    rows = [(each.product_id, each.name, "yes" if each.entitled else "no") for each in answer]
    return Shown(answer, ("product", "name", "entitled"), rows)


async def search(client: PlatformClient, args: argparse.Namespace) -> Shown:
    """Show what a search finds, best match first."""
    answer = await client.search(
        args.q, record_type=args.type, product=args.product, limit=args.limit
    )
    rows = [_row(each.record) for each in answer]
    return Shown(answer, _COLUMNS, rows)


def _records(found: list[WorkspaceRecord], note: str) -> Shown:
    return Shown(found, _COLUMNS, [_row(record) for record in found], note=note)


def _row(record: WorkspaceRecord) -> tuple[str, ...]:
    return (
        record.source_product,
        record.record_type,
        record.source_ref,
        record.title,
        record.status,
        when(record.updated_at),
    )
