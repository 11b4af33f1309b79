"""`bb-sidecar platform`: the local platform in the foreground; it prints how to use it."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from sidecar.local_platform.seeds import Seed, load_seed
from sidecar.local_platform.server import LocalPlatform


def platform(args: argparse.Namespace, _environ: object) -> int:
    """Run the command; return its exit status."""
    host, port = args.listen.host, args.listen.port
    asyncio.run(run_platform(host=host, port=port, db=args.db, seed=args.seed, issuer=args.issuer))
    return 0


async def run_platform(
    *,
    host: str = "127.0.0.1",
    port: int = 8092,
    db: Path | None = None,
    seed: Path | None = None,
    issuer: str | None = None,
) -> None:
    """Run until SIGINT or SIGTERM, then close in good order.

    Raises UserError for a seed, a database or an address that cannot be used.
    """
    platform = LocalPlatform(seed=None if seed is None else load_seed(seed), db=db, issuer=issuer)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        await platform.start(host, port)
        sys.stdout.writelines(f"{line}\n" for line in introduction(platform.url, platform.seed, db))
        sys.stdout.flush()  # also where it is a pipe
        await stop.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        await platform.close()


def introduction(url: str, seed: Seed | None, db: Path | None) -> Iterator[str]:
    """Return where the platform is, its keys, and lines to paste: variables, a policy, a call."""
    yield f"local platform  {url}  (API and auth host)"
    yield f"in a browser    {url}/  (orgs, quotas, the latest consumes and deliveries)"
    yield f"state           {'in memory, gone at the end' if db is None else db}"
    if seed is None:
        yield "keys            those shown when the database was made; --seed FILE sets new ones"
        return
    for product in seed.products:
        yield f"product         {product.slug}  X-Internal-Key: {product.key}"
    for org in seed.orgs:
        quotas = ", ".join(f"{resource.value} {limit}" for resource, limit in org.quotas.items())
        yield f"org             {org.id}  plan {org.plan}  quotas {quotas or 'none'}"
        for key in org.keys:
            may = "+".join(key.scopes) or "no scope"
            bound = "" if key.product is None else f", as {key.product} only"
            yield f"                Authorization: Bearer {key.key}  ({may}{bound})"
    product = seed.products[0]
    yield ""
    yield "For the sidecar and its commands, in another terminal:"
    yield ""
    yield f"export PLATFORM_API_URL={url} AUTH_SERVICE_URL={url}"
    yield f"export PLATFORM_INTERNAL_KEY={quote(product.key)} PRODUCT_SLUG={product.slug}"
    entitled = next((each for each in seed.orgs if product.slug in each.apps), None)
    if entitled is None:
        return
    if entitled.keys:
        yield f"export BIZBASICS_API_KEY={quote(entitled.keys[0].key)}"
    yield "bb-sidecar init policy.yaml       # a policy for this product, once"
    yield "bb-sidecar run --policy policy.yaml --upstream http://127.0.0.1:8000"
    yield f"TOKEN=$(bb-sidecar token --org {entitled.id})"
    yield 'curl -i http://127.0.0.1:8080/api/v1/chat -H "Authorization: Bearer $TOKEN" -d "{}"'
    yield (
        f'curl -s {url}/v1/quota/consume -H "X-Internal-Key: $PLATFORM_INTERNAL_KEY" '
        f"""-d '{{"org_id":"{entitled.id}","resource":"ai_calls"}}'"""
    )
