"""What the admin port is told of a running sidecar, and the two things it may do."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sidecar.app.status import Status
from sidecar.app.wiring import App
from sidecar.domain.choices import OnPlatformError
from tests.e2e.harness import ORG, Stack, eventually, policy, soon, stack


@pytest.fixture
async def s() -> AsyncIterator[Stack]:
    """A chain with one sidecar in this process."""
    async with stack(orgs={ORG: 10, "org_b": 10, "org_c": 10}, metrics_orgs=2) as running:
        await soon(lambda: status(running).circumstances().keys, lambda keys: keys > 0)
        yield running


def status(s: Stack) -> Status:
    """Return the status of its sidecar."""
    [app] = s.sidecars
    assert isinstance(app, App)
    return app.status


async def test_all_is_well(s: Stack) -> None:
    """Keys are there, nothing is wrong, and the modes are the policy's."""
    now = status(s).circumstances()
    assert (now.draining, now.policy_problem, now.platform_problem) == (False, "", "")
    assert (now.journal_problem, now.keys_problem) == ("", "")
    assert now.keys == 1
    assert not now.keys_needed  # the product's own session needs none
    assert now.modes == {OnPlatformError.FAIL_OPEN}
    assert now.platform_probe_due


async def test_keys_are_needed_without_a_session_of_the_product() -> None:
    """Then nobody can be identified without them."""
    async with stack(policy=policy(identity=[{"bearer": True}])) as s:
        assert status(s).circumstances().keys_needed


async def test_a_platform_that_is_down_is_told(s: Stack) -> None:
    """By the breaker; the time of the next probe too."""
    await s.fault(status=500)
    for _ in range(6):
        await s.call()
    now = status(s).circumstances()
    assert now.platform_problem
    assert not now.platform_probe_due
    await soon(lambda: status(s).circumstances().platform_probe_due, bool)
    await s.fault()


async def test_quotas_of_the_latest_orgs_are_known(s: Stack) -> None:
    """As many as `--metrics-orgs` says, latest first."""
    for org in ("org_b", ORG, "org_c", ORG):
        await s.call(org=org)
    known = list(status(s).known_quotas())
    assert [(org, quota.used) for org, quota in known] == [(ORG, 2), ("org_c", 1)]


async def test_a_good_reload_is_reported(s: Stack) -> None:
    """Loaded when it changed, unchanged when not."""
    assert (await status(s).reload()).outcome == "unchanged"
    s.place.policy_file.write_text(policy(unmatched="deny"))
    report = await status(s).reload()
    assert (report.outcome, report.problems) == ("loaded", ())


async def test_a_bad_reload_is_reported(s: Stack) -> None:
    """With each of its problems; the last good policy stays in view."""
    before = status(s).policy_view()
    s.place.policy_file.write_text("version: 3\nproduct: 7\nroutes: []\n")
    report = await status(s).reload()
    assert report.outcome == "rejected"
    found = [problem.partition("policy.yaml:")[2][:3] for problem in report.problems]
    assert found == ["1:1", "2:1", "3:9"]
    assert status(s).policy_view() == before
    assert status(s).circumstances().policy_problem


async def test_drain_is_begun(s: Stack) -> None:
    """New requests are refused from then on; twice is once."""
    status(s).drain()
    status(s).drain()
    assert status(s).circumstances().draining
    assert (await s.call()).json()["reason"] == "draining"


async def test_gauges_are_read_at_the_scrape(s: Stack) -> None:
    """Each gauge has a value, of its own kind."""
    await s.fault(status=500)
    await s.call()
    page = await s.metrics()
    assert page.sum("journal_pending_units") == 1
    assert page.sum("jwks_keys") == 1
    assert page.sum("platform_breaker_state") == 0
    assert page.sum("credits_units") == 0
    assert page.sum("inflight_requests") == 0
    assert page.sum("open_connections") == 1
    assert page.sum("policy_info", version="1") == 1
    for state in ("held", "requested"):
        assert page.sum("lease_units", state=state) == 0
    await s.fault()
    await eventually(s.metrics, lambda page: page.sum("journal_pending_units") == 0)
