"""`bb-sidecar quota status|breakdown|consume`."""

from __future__ import annotations

import argparse

from sidecar.client import PlatformClient
from sidecar.commands.output import QUOTA_COLUMNS, Shown, quota_cells


async def status(client: PlatformClient, _args: argparse.Namespace) -> Shown:
    """Show the quotas of the key's own org."""
    answer = await client.quota_status()
    rows = [(resource, *quota_cells(quota)) for resource, quota in answer.quotas.items()]
    return Shown(answer, ("resource", *QUOTA_COLUMNS), rows, note=f"org {answer.org_id}")


async def breakdown(client: PlatformClient, _args: argparse.Namespace) -> Shown:
    """Show the same by product."""
    answer = await client.quota_breakdown()
    rows = [
        (product, resource, *quota_cells(quota))
        for product, split in answer.products.items()
        for resource, quota in split.items()
    ]
    columns = ("product", "resource", *QUOTA_COLUMNS)
    return Shown(answer, columns, rows, note=f"org {answer.org_id}: the limit is the org's")


async def consume(client: PlatformClient, args: argparse.Namespace) -> Shown:
    """Count units, or be refused (exit 1)."""
    answer = await client.consume(
        args.org, args.resource, args.amount, product_id=args.product, idempotency_key=args.key
    )
    note = "counted" if answer.allowed else "refused: over the limit, nothing was counted"
    return Shown(
        answer,
        ("allowed", "resource", *QUOTA_COLUMNS),
        [("yes" if answer.allowed else "no", args.resource, *quota_cells(answer.quota))],
        note=f"{note}; idempotency key {answer.key}",
        status=0 if answer.allowed else 1,
    )
