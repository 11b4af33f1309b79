"""One suite of facts for the local platform, and for a real one when the environment names it.

Each test carries `fact(source, text)`: where the platform's contract has it from. At the end the
run says which facts were confirmed, and in one line each which choices of ours are contradicted and
which facts could not be asked about, and why.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from sidecar.client import PlatformClient, PlatformError
from sidecar.domain.model import Resource
from sidecar.local_platform import (
    ApiKey,
    LocalPlatform,
    Member,
    Seed,
    SeedOrg,
    SeedProduct,
)
from tests.contract.target import Client, Target, target_from_environment
from tests.free_ports import free_port

UNITS = 100
"""What a run may consume of the target's resource, with room to spare."""

_roomy: set[Target] = set()
_results: dict[tuple[str, str], set[str]] = {}
"""How the tests of each fact, by source and text, ended."""

_unasked: dict[tuple[str, str], str] = {}
"""Why a fact could not be asked about."""


def pytest_configure(config: pytest.Config) -> None:
    """Know the marker; end at once where the environment names half a platform."""
    try:
        target_from_environment()
    except ValueError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    config.addinivalue_line(
        "markers", "fact(source, text): a fact of the platform's contract and where it comes from"
    )


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    """The real platform when the environment names one, else a local one."""
    real = target_from_environment()
    if real is not None:
        await _require_room(real)
        yield real
        return
    seed = Seed(
        products=[SeedProduct(slug="acme-notes", key="bbas_contract")],
        orgs=[
            SeedOrg(
                id="org_acme",
                plan="pro",
                apps=["acme-notes"],
                quotas={Resource.API_CALLS: 10_000},
                keys=[ApiKey(key="bbk_contract", product="acme-notes")],
                members=[Member(user_id="ann", role="org_owner")],
            )
        ],
    )
    listen = f"127.0.0.1:{free_port()}"
    async with LocalPlatform(seed=seed) as local:
        yield Target(
            url=local.url,
            auth_url=local.url,
            internal_key="bbas_contract",
            api_key="bbk_contract",
            org_id="org_acme",
            product="acme-notes",
            webhook_url=f"http://{listen}/hook",
            webhook_listen=listen,
            token=local.mint_token("org_acme", user_id="ann"),
        )


async def _require_room(target: Target) -> None:
    """End the run where the platform cannot be asked, or the quota is too small for it.

    Every fact would seem contradicted, and each only after the client's patience.
    """
    if target in _roomy:
        return
    try:
        async with PlatformClient(api_key=target.api_key, url=target.url) as client:
            quota = (await client.quota_status()).quotas.get(target.resource)
    except (PlatformError, ValueError) as error:
        pytest.exit(f"{target.url}: {error}", returncode=pytest.ExitCode.USAGE_ERROR)
    if quota is None or not (quota.unlimited or quota.remaining >= UNITS):
        left = "none" if quota is None else quota.remaining
        pytest.exit(
            f"{target.org_id} has {left} of {target.resource} left: name a resource with"
            f" {UNITS} in BIZBASICS_CONTRACT_RESOURCE",
            returncode=pytest.ExitCode.USAGE_ERROR,
        )
    _roomy.add(target)


@pytest.fixture
async def platform(target: Target) -> AsyncIterator[Client]:
    """A client of the platform under test."""
    async with aiohttp.ClientSession() as session:
        yield Client(session, target)


@pytest.fixture
async def client(target: Target) -> AsyncIterator[PlatformClient]:
    """Our own typed client, with both keys of the target."""
    async with PlatformClient(
        internal_key=target.internal_key,
        api_key=target.api_key,
        url=target.url,
        auth_url=target.auth_url,
    ) as client:
        yield client


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Remember how each fact fared; a failure or a skip in a fixture is one too."""
    report: pytest.TestReport = yield  # type: ignore[assignment]  # what pytest sends
    marker = item.get_closest_marker("fact")
    if marker is not None and (report.when == "call" or not report.passed):
        source, text = marker.args
        _results.setdefault((source, text), set()).add(report.outcome)
        if report.skipped and isinstance(report.longrepr, tuple):
            _unasked[source, text] = report.longrepr[2].removeprefix("Skipped: ")
    return report  # type: ignore[return-value]  # what pytest wants back


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what the contract is worth now."""
    if not _results:
        return
    real = target_from_environment()
    where = "the local platform" if real is None else real.url
    confirmed = [fact for fact, outcomes in _results.items() if outcomes == {"passed"}]
    terminalreporter.write_line(f"contract: {len(confirmed)} facts confirmed by {where}")
    if real is not None:
        for source, text in confirmed:
            terminalreporter.write_line(f"  confirmed [{source}] {text}")
    for (source, text), outcomes in _results.items():
        if "failed" in outcomes:
            what = "our choice is contradicted" if source == "ours" else "contradicted"
            terminalreporter.write_line(f"  {what}: [{source}] {text}")
        elif "skipped" in outcomes:
            why = _unasked.get((source, text), "skipped")
            terminalreporter.write_line(f"  not asked ({why}): [{source}] {text}")
