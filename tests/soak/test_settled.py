"""A short run of settled calls, by hand and by the vendors' SDKs, and its books by org."""

from __future__ import annotations

import pytest

from tests.soak.settled import settled


@pytest.mark.parametrize("clients", ["raw", "sdk"])
@pytest.mark.timeout(180)
async def test_each_org_has_paid_what_its_calls_cost(clients: str) -> None:
    """To the unit where nothing was cut or killed; nothing is free, and nothing is held."""
    found = await settled(320, 2, 1, clients)
    assert found.wrong == [], found.table()
    assert found.mute > 0
