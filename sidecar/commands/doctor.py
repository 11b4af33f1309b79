"""`bb-sidecar doctor`: whether all is there that the sidecar needs of the platform.

Changes nothing: the `bbas_` key is tried on a webhook that cannot be, beside a key that cannot be,
and the policy's product on a consume for an org that cannot be.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from sidecar.app.startup_warnings import warnings_about, warnings_about_variables
from sidecar.client import (
    CredentialRefusedError,
    ForbiddenError,
    PlatformClient,
    PlatformError,
)
from sidecar.commands.access import client_for
from sidecar.commands.diagnosis import (
    Diagnosis,
    Level,
    failure,
    hint_of,
    not_checked,
    of_clock,
    of_drift,
    of_internal_key,
    of_keys,
    of_networks,
    of_product,
    ok,
    warning,
    worst,
)
from sidecar.commands.drift import find_drift
from sidecar.commands.output import Shown
from sidecar.commands.probes import try_product, try_token
from sidecar.domain.errors import UserError
from sidecar.domain.model import Resource
from sidecar.http1.proxies import usable_proxy_for
from sidecar.policy.compiled import Policy
from sidecar.policy.file import read_policy_file
from sidecar.policy.load import load_policy
from sidecar.settings.commands import AccessSettings, DoctorSettings
from sidecar.settings.fields import read_section
from sidecar.settings.secret import Secret

_NO_ORG: Final = "bb-sidecar-doctor-asks-for-no-org"
_NO_PRODUCT: Final = "bb-sidecar-doctor-asks-for-no-product"
_NO_KEY: Final = Secret("bbas_bb-sidecar-doctor-asks-as-nobody")


async def examine(
    client: PlatformClient,
    args: argparse.Namespace,
    access: AccessSettings,
    environ: Mapping[str, str],
) -> Shown:
    """Look at everything; exit 1 where something has to be fixed."""
    given = read_section(DoctorSettings, args, environ)
    policy, content = _policy(given.policy, environ)
    product = given.product or (policy.product if isinstance(policy, Policy) else None)
    internal_key, auth_host, openapi, (entitled, api_key), upstream, token = await asyncio.gather(
        _internal_key(client, access),
        _auth_host(client),
        _openapi(client),
        _api_key(client, access, notices=isinstance(policy, Policy) and bool(policy.notices)),
        try_product(given.upstream),
        try_token(given.token, access.auth, given.issuer or access.auth.url, product),
    )
    findings = [*_settings(access, environ, content), internal_key, api_key, *auth_host, *openapi]
    if isinstance(policy, Diagnosis):
        findings.append(policy)
        if product is None:
            findings.append(not_checked("product", "the policy cannot be read", "fix `policy`"))
    elif product is None:
        findings.append(not_checked("product", "none is named", "give --policy, or --product"))
    elif internal_key.level is Level.FAILURE:
        findings.append(not_checked("product", "needs the bbas_ key", "fix `bbas_ key`"))
    else:
        findings += await _of_product(client, product, entitled)
    findings += [upstream, token]
    findings += of_networks(given.trusted_proxies, shared_ids=given.redis is not None)
    rows = [(each.level.value, each.check, each.text, each.hint) for each in findings]
    level = worst(findings)
    left = sum(each.level is Level.NOT_CHECKED for each in findings)
    return Shown(
        findings,
        ("", "what", "how it is", "hint"),
        rows,
        note=f"{access.api.url}: {level.value}" + f", {left} not checked" * bool(left),
        status=1 if level is Level.FAILURE else 0,
    )


def _policy(
    path: Path | None, environ: Mapping[str, str]
) -> tuple[Policy | Diagnosis | None, bytes]:
    """Return the policy, what is wrong with it, or None where none is named; and its content."""
    if path is None:
        return None, b""
    content = b""
    try:
        content = read_policy_file(path)
        return load_policy(content, file=str(path), environ=environ), content
    except UserError as error:
        first = str(error).splitlines()[0]
        hint = f"`bb-sidecar check {path}` shows every problem"
        return failure("policy", first, hint), content


def _settings(access: AccessSettings, environ: Mapping[str, str], policy: bytes) -> list[Diagnosis]:
    """Say what the settings have that is likely a mistake, and the proxy on the way, if any."""
    origins = (access.api, access.auth)
    findings = [
        warning("settings", each.about, each.hint)
        for each in (
            *warnings_about(*origins),
            *warnings_about_variables(environ, policy),
        )
    ]
    proxies = {proxy.url for each in origins if (proxy := usable_proxy_for(each.url)) is not None}
    return findings + [ok("proxy", f"{url}, from the environment") for url in sorted(proxies)]


async def _internal_key(client: PlatformClient, access: AccessSettings) -> Diagnosis:
    if access.key is None:
        return failure("bbas_ key", "none", "set PLATFORM_INTERNAL_KEY, or give --key-file")
    async with client_for(replace(access, key=_NO_KEY, api_key=None)) as unknown:
        tests = (each.test_webhook(_NO_ORG) for each in (client, unknown))
        return of_internal_key(*await asyncio.gather(*map(_error_of, tests)))


async def _error_of(call: Awaitable[object]) -> PlatformError | None:
    """Return what a call failed with; None where it was done as asked."""
    try:
        await call
    except PlatformError as error:
        return error
    return None


async def _auth_host(client: PlatformClient) -> list[Diagnosis]:
    before = time.time()
    try:
        host = await client.auth_host()
    except PlatformError as error:
        unknown = not_checked("clocks", "the auth host gave no time", "fix `key set`")
        return [failure("key set", str(error), hint_of(error)), unknown]
    return [of_keys(host.keys), of_clock(host.date, before, time.time())]


async def _openapi(client: PlatformClient) -> list[Diagnosis]:
    try:
        return of_drift(find_drift(await client.openapi()))
    except PlatformError as error:
        return [not_checked("openapi", str(error), hint_of(error))]


async def _api_key(
    client: PlatformClient, access: AccessSettings, *, notices: bool
) -> tuple[Mapping[str, bool] | None, Diagnosis]:
    """Judge the org's key; return the catalog's products too, and whether the org has each."""
    if access.api_key is None and notices:
        hint = "give a bbk_ key with write access, or take `notices` out of the policy"
        return None, warning("bbk_ key", "none given: the policy's notices stay off", hint)
    if access.api_key is None:
        hint = "only notices and an org's commands need one: give --api-key-file"
        return None, not_checked("bbk_ key", "none given", hint)
    try:
        org_id = (await client.quota_status()).org_id
        catalog = {each.product_id: each.entitled for each in await client.catalog()}
    except CredentialRefusedError:
        hint = "take a bbk_ key of this platform, not the bbas_ one"
        return None, failure("bbk_ key", "refused", hint)
    except ForbiddenError as error:
        return None, warning("bbk_ key", f"cannot read: {error.detail}", "give it the scope read")
    except PlatformError as error:
        return None, failure("bbk_ key", str(error), hint_of(error))
    return catalog, ok("bbk_ key", f"accepted, of org {org_id}")


async def _of_product(
    client: PlatformClient,
    product: str,
    entitled: Mapping[str, bool] | None,
) -> list[Diagnosis]:
    findings = []
    if entitled is not None and product not in entitled:
        hint = "fix `product` in the policy (or --product)"
        findings.append(failure("catalog", f"the platform has no product {product!r}", hint))
    elif entitled is not None and not entitled[product]:
        hint = "its users get 403 not_entitled until the org has the product"
        findings.append(warning("catalog", f"the key's org does not have {product!r}", hint))
    consumes = (
        client.consume(_NO_ORG, Resource.AI_CALLS, product_id=each)
        for each in (product, _NO_PRODUCT)
    )
    error, stranger = await asyncio.gather(*map(_error_of, consumes))
    return [*findings, of_product(error, stranger, product)]
