"""`/health` and `/ready`."""

from __future__ import annotations

from sidecar.local_platform import LocalPlatform
from tests.unit.local_platform import acme


async def test_both_are_200_while_the_store_can_be_read(caller: acme.Caller) -> None:
    """Up and ready."""
    assert await caller.ask("GET", "/health") == (200, {"status": "ok"})
    assert await caller.ask("GET", "/ready") == (200, {"status": "ok"})


async def test_without_its_store_it_is_up_but_not_ready(
    caller: acme.Caller, platform: LocalPlatform
) -> None:
    """Liveness does not depend on it, readiness does."""
    platform._up.store.close()

    assert (await caller.ask("GET", "/health"))[0] == 200
    assert (await caller.ask("GET", "/ready"))[0] == 503
