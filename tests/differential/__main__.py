"""Send many probes to every product; status 1 when a handler ran that nothing paid for."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import Final

from tests.differential.catalogue import Product, products
from tests.differential.driving import Report, drive

_AT_ONCE: Final = 2
_SHOWN: Final = 20


def main() -> int:
    """Drive as the arguments say."""
    known = {product.name: product for product in products()}
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument("--probes", type=int, default=100_000, help="for all products together")
    parser.add_argument("--seed", default="1", help="the same seed makes the same probes")
    parser.add_argument("products", nargs="*", metavar="product", help=", ".join(known))
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.products) - set(known))
    if unknown:
        parser.error(f"no product {', '.join(unknown)}; there are {', '.join(known)}")
    chosen = [known[name] for name in arguments.products or known]
    reports = asyncio.run(_drive_all(chosen, arguments.seed, arguments.probes))
    wrong = sum(len(report.findings) for report in reports)
    print(f"{len(reports)} products, {sum(r.probes for r in reports)} probes, {wrong} wrong")
    return 1 if wrong else 0


async def _drive_all(chosen: Sequence[Product], seed: str, count: int) -> list[Report]:
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(product: Product) -> Report:
        async with room:
            report = await drive(product, f"{seed} {product.name}", -(-count // len(chosen)))
        print(report, *report.findings[:_SHOWN], sep="\n  ", flush=True)
        return report

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(product)) for product in chosen]
    return [task.result() for task in tasks]


if __name__ == "__main__":
    sys.exit(main())
