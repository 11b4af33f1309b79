"""`bb-sidecar doctor`: whether all is there that the sidecar needs of the platform.

Changes nothing: the `bbas_` key is tried on a webhook that cannot be, the policy's product on a
consume for an org that cannot be.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sidecar.commands.access import Access
from sidecar.commands.diagnosis import (
    Finding,
    Level,
    failure,
    of_clock,
    of_drift,
    of_internal_key,
    of_keys,
    of_product,
    ok,
    warning,
    worst,
)
from sidecar.commands.output import Shown
from sidecar.errors import UserError
from sidecar.model import Resource
from sidecar.platform import (
    CredentialRefusedError,
    ForbiddenError,
    PlatformClient,
    PlatformError,
)
from sidecar.platform.drift import find_drift
from sidecar.policy.load import load_policy
from sidecar.policy.store import read_policy_file

_NOBODY: Final = "bb-sidecar-doctor-asks-for-no-org"
_REACH: Final = "check the URL, DNS, and the network policy from here"


async def examine(
    client: PlatformClient, args: argparse.Namespace, access: Access, environ: Mapping[str, str]
) -> Shown:
    """Look at everything; exit 1 where something has to be mended."""
    product = _product(args, environ)
    internal_key, auth_host, openapi, (entitled, api_key) = await asyncio.gather(
        _internal_key(client, access),
        _auth_host(client),
        _openapi(client),
        _api_key(client, access),
    )
    findings = [internal_key, api_key, *auth_host, *openapi]
    if isinstance(product, Finding):
        findings.append(product)
    elif product is not None:
        findings += await _of_product(client, access, product, entitled)
    rows = [(each.level.value, each.check, each.text, each.mend) for each in findings]
    level = worst(findings)
    return Shown(
        findings,
        ("", "what", "how it is", "mend"),
        rows,
        note=f"{access.url}: {level.value}",
        status=1 if level is Level.FAILURE else 0,
    )


def _product(args: argparse.Namespace, environ: Mapping[str, str]) -> str | Finding | None:
    """Return the product that the sidecar would take: --product over the policy's."""
    named: str | None = args.product or environ.get("PRODUCT_SLUG") or None
    path = args.policy or environ.get("SIDECAR_POLICY") or None
    if path is None:
        return named
    try:
        policy = load_policy(read_policy_file(Path(path)), file=str(path), environ=environ)
    except UserError as error:
        first = str(error).splitlines()[0]
        return failure("policy", first, f"`bb-sidecar check {path}` shows every problem")
    return named or policy.product


async def _internal_key(client: PlatformClient, access: Access) -> Finding:
    if access.internal_key is None:
        return failure("bbas_ key", "none", "set PLATFORM_INTERNAL_KEY, or give --key-file")
    try:
        await client.test_webhook(_NOBODY)
    except PlatformError as error:
        return of_internal_key(error)
    return of_internal_key(None)


async def _auth_host(client: PlatformClient) -> list[Finding]:
    before = time.time()
    try:
        host = await client.auth_host()
    except PlatformError as error:
        return [failure("key set", str(error), _REACH)]
    return [of_keys(host.keys), of_clock(host.date, before, time.time())]


async def _openapi(client: PlatformClient) -> list[Finding]:
    try:
        return of_drift(find_drift(await client.openapi()))
    except PlatformError as error:
        return [warning("openapi", str(error), "what has changed there cannot be told")]


async def _api_key(
    client: PlatformClient, access: Access
) -> tuple[Mapping[str, bool] | None, Finding]:
    """Judge the org's key; return the catalog's products too, and whether the org has each."""
    if access.api_key is None:
        return None, ok("bbk_ key", "none given; only notices and an org's commands need one")
    try:
        org_id = (await client.quota_status()).org_id
        catalog = {each.product_id: each.entitled for each in await client.catalog()}
    except CredentialRefusedError:
        mend = "take a bbk_ key of this platform, not the bbas_ one"
        return None, failure("bbk_ key", "refused", mend)
    except ForbiddenError as error:
        return None, warning("bbk_ key", f"cannot read: {error.detail}", "give it the scope read")
    except PlatformError as error:
        return None, failure("bbk_ key", str(error), _REACH)
    return catalog, ok("bbk_ key", f"accepted, of org {org_id}")


async def _of_product(
    client: PlatformClient, access: Access, product: str, entitled: Mapping[str, bool] | None
) -> list[Finding]:
    findings = []
    if entitled is not None and product not in entitled:
        mend = "mend `product` in the policy (or --product)"
        findings.append(failure("catalog", f"the platform has no product {product!r}", mend))
    elif entitled is not None and not entitled[product]:
        mend = "its users get 403 not_entitled until the org has the product"
        findings.append(warning("catalog", f"the key's org does not have {product!r}", mend))
    if access.internal_key is not None:
        try:
            await client.consume(_NOBODY, Resource.AI_CALLS, product_id=product)
        except PlatformError as error:
            findings.append(of_product(error, product))
        else:
            findings.append(of_product(None, product))
    return findings
