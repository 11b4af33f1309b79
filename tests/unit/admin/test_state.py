from __future__ import annotations

from sidecar.admin.state import AdminState, MetricsPage, ReloadReport
from sidecar.telemetry.exposition import Exposition
from sidecar.telemetry.metrics import Metrics
from tests.fakes.admin import StaticState


async def test_the_exposition_is_a_metrics_page() -> None:
    """What app wires together fits; mypy proves it, this runs it."""
    page: MetricsPage = Exposition(Metrics(build=("1.2.3", "abc123", "3.13.0", "pure")).parts)
    assert b'version="1.2.3"} 1.0' in (await page.render("", ""))[0]


async def test_a_reload_without_problems_lists_none() -> None:
    """Only a rejected file has some."""
    state: AdminState = StaticState()
    assert await state.reload() == ReloadReport("loaded", problems=())
